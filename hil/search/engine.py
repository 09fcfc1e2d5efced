"""The interface of a search engine: `ask` for proposals, `tell` the trials.

An engine never measures, trains or stores, and reads no clock. Its proposals are a pure function of
its arguments (the seed among them) and of the trials it was told: told the same trials again, it
proposes the same. A run therefore resumes by replay, and a study replays many engines over one
store. The engines and their names are in `hil.search.registry`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from compress.genome import Elastic, Genome, Pick, Quantize
from hil.types import Trial

# The work of a step that trains an elastic network, in steps of the widest network alone: it trains
# four sub-networks. Measured on kws, in seconds (docs/decisions/0032).
NETWORKS_PER_STEP = 3.0


@dataclass(frozen=True, slots=True)
class Proposal:
    """A genome to try, and its fidelity: the share (0 .. 1) of its stages' training that it gets.

    At fidelity 1 the network is measured on the board; below, it is screened on the host. A
    `repeat` above 0 trains the same genome with other seeds. With `profile` the layers are counted
    on the board, too (`Measurement.layers`).
    """

    genome: Genome
    fidelity: float = 1.0
    repeat: int = 0
    profile: bool = False

    @property
    def key(self) -> tuple[str, float, int]:
        """The identity of the proposal; a store has one trial for each key."""
        return self.genome.key, self.fidelity, self.repeat

    @property
    def epochs(self) -> float:
        """Epochs of training over all stages at this fidelity, a shared prefix included."""
        return self.genome.with_effort(self.fidelity).epochs

    @property
    def is_inherited(self) -> bool:
        """True for a sub-network of an elastic network that is looked at as it is.

        It is looked at in float, with the weights of a pick with bits rounded to them. Many are
        judged in one job (`hil.trial.inherited`).
        """
        *before, pick, last = (None, None, *self.genome.stages)
        elastic = any(isinstance(stage, Elastic) for stage in before)
        if not isinstance(pick, Pick) or self.fidelity > 0.0 or not elastic:
            return False
        return last == Quantize(pick.bits or Quantize().weight_bits)


class Engine(Protocol):
    """A search method, used in a loop: `ask` for a batch, try it, `tell` the results."""

    def ask(self) -> list[Proposal]:
        """The next batch, best candidates first; empty if nothing is left to try.

        A budget may cut off the end of the batch.
        """
        ...

    def tell(self, trials: Sequence[Trial]) -> None:
        """Learn from the trials of the last batch, in its order, without those cut off."""
        ...


@runtime_checkable
class WarmStarted(Protocol):
    """An engine that tries the fixed genomes `warm` first, before it has learned anything."""

    warm: tuple[Genome, ...]


@runtime_checkable
class Narrated(Protocol):
    """An engine that says what it does.

    `activity` is a short text for the progress line, `news` the lines that stay which it has not
    said before. Neither is part of the search.
    """

    @property
    def activity(self) -> str: ...
    def news(self) -> list[str]: ...


@runtime_checkable
class BeginsAtRandom(Protocol):
    """An engine whose first `drawn` genomes are random, whatever the results.

    Until it has asked for more than these, it is no different from random search.
    """

    drawn: int
