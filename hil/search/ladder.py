"""The fidelity ladder: the rungs at which a candidate is screened before it is trained in full.

Rung 0 needs no training. It gives exact shapes, hence the costs, and an accuracy with re-estimated
batch-norm statistics. An intermediate rung costs its share of the training and gives a better
accuracy only: it is dropped once its ranking proves unlike that of full training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compress.errors import UserError
from hil.search.rank import correlations
from hil.types import Trial


@dataclass(frozen=True, slots=True)
class Ladder:
    """Rungs (fidelities) from 0 to 1, and `counts`, the candidates that enter each.

    An intermediate rung stays in use unless its rank correlation, over at least `fewest` genomes,
    is below `trusted`. Raises UserError for rungs or counts out of order.
    """

    rungs: tuple[float, ...] = (0.0, 1.0)
    counts: tuple[int, ...] = (48, 12)
    trusted: float = 0.6
    fewest: int = 12

    def __post_init__(self) -> None:
        rising = list(self.rungs) == sorted(set(self.rungs))
        if len(self.rungs) < 2 or self.rungs[0] != 0.0 or self.rungs[-1] != 1.0 or not rising:
            raise UserError(f"rungs {self.rungs}: must rise strictly, from 0 to 1")
        falling = list(self.counts) == sorted(self.counts, reverse=True)
        if len(self.counts) != len(self.rungs) or not falling or self.counts[-1] < 1:
            raise UserError(
                f"counts {self.counts}: must be one for each of {len(self.rungs)} rungs, "
                "at least 1, none larger than the one before"
            )

    def in_use(self, trials: Sequence[Trial]) -> tuple[tuple[float, int], ...]:
        """(fidelity, count) of each rung that is not dropped, given these trials."""
        found = {one.fidelity: one for one in correlations(trials)}

        def stands(fidelity: float) -> bool:
            if fidelity in (0.0, 1.0) or fidelity not in found:
                return True
            return found[fidelity].n < self.fewest or found[fidelity].spearman >= self.trusted

        steps = zip(self.rungs, self.counts, strict=True)
        return tuple((fidelity, count) for fidelity, count in steps if stands(fidelity))
