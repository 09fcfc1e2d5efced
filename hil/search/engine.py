"""What a search engine is: asked what to try next, told what came of it, nothing else.

An engine never measures, trains or stores, and reads no clock. What it asks for is a pure function
of its arguments (the seed among them) and of the trials it was told, so that a search that is told
the same trials again asks for the same: that is what makes a run resumable by replay, and what
lets a study ask many engines the same questions of one store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from compress.genome import Genome
from hil.types import Trial

# What `hil.search.registry` opens; here, so that naming them does not import them.
ENGINE_NAMES = ("adaptive", "nsga2", "weighted", "random", "tpe", "optuna-nsga2", "bohb")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A genome to try with the share `fidelity` (0 .. 1) of its stages' training.

    1 is all of it, and then it is measured on the board; below, the host judges it.
    """

    genome: Genome
    fidelity: float = 1.0

    @property
    def key(self) -> tuple[str, float]:
        """What tells proposals apart; a store has one trial for each."""
        return self.genome.key, self.fidelity

    @property
    def epochs(self) -> float:
        """Of training, all stages together."""
        return self.genome.epochs * self.fidelity


class Engine(Protocol):
    """A way of searching: `ask` for a batch, try it, `tell` it, again and again."""

    def ask(self) -> list[Proposal]:
        """The next batch, the most wanted first (a budget cuts its end); empty if none is left."""
        ...

    def tell(self, trials: Sequence[Trial]) -> None:
        """The trials of the batch asked last, in its order; those that a budget cut off miss."""
        ...


@runtime_checkable
class WarmStarted(Protocol):
    """An engine that begins with genomes of its own, before it has learned anything."""

    warm: tuple[Genome, ...]


@runtime_checkable
class BeginsAtRandom(Protocol):
    """An engine that draws its first `drawn` networks, whatever comes of them.

    Until it has asked for more, it is random search.
    """

    drawn: int
