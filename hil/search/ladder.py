"""The fidelity ladder: which rungs a candidate climbs before it is trained in full.

Rung 0 needs no training: it gives exact shapes, hence costs, and an accuracy with batch-norm
statistics measured anew. A rung between costs its share of the training and is asked for accuracy
alone, so that it is dropped as soon as its ranks turn out not to be those of full training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compress.errors import UserError
from hil.search.rank import correlations
from hil.types import Trial


@dataclass(frozen=True, slots=True)
class Ladder:
    """Rungs in rising order, 0 first and 1 last; `counts` are how many candidates enter each.

    A rung between stays while its rank correlation, known from `fewest` genomes or more, is at
    least `trusted`.
    """

    rungs: tuple[float, ...] = (0.0, 1.0)
    counts: tuple[int, ...] = (48, 12)
    trusted: float = 0.6
    fewest: int = 12

    def __post_init__(self) -> None:
        rising = list(self.rungs) == sorted(set(self.rungs))
        if len(self.rungs) < 2 or self.rungs[0] != 0.0 or self.rungs[-1] != 1.0 or not rising:
            raise UserError(f"rungs {self.rungs}: must rise from 0 to 1")
        falling = list(self.counts) == sorted(self.counts, reverse=True)
        if len(self.counts) != len(self.rungs) or not falling or self.counts[-1] < 1:
            raise UserError(f"counts {self.counts}: one for each rung, none above the one before")

    def in_use(self, trials: Sequence[Trial]) -> tuple[tuple[float, int], ...]:
        """(fidelity, candidates) of the rungs that these trials leave standing."""
        found = {one.fidelity: one for one in correlations(trials)}

        def stands(fidelity: float) -> bool:
            if fidelity in (0.0, 1.0) or fidelity not in found:
                return True
            return found[fidelity].n < self.fewest or found[fidelity].spearman >= self.trusted

        steps = zip(self.rungs, self.counts, strict=True)
        return tuple((fidelity, count) for fidelity, count in steps if stands(fidelity))
