"""One arm of a study on its way: an engine, fed from the store, within its budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hil.search.engine import BeginsAtRandom, Engine, Proposal, WarmStarted
from hil.study.arms import Arm
from hil.study.result import ArmTrace, Ending
from hil.types import Trial

# What screening a candidate without training counts, of one trained in full: about its time.
_SCREENED = 0.05


@dataclass(frozen=True, slots=True)
class ArmBudget:
    """What every arm may use in each seed: networks trained in full, and epochs of training."""

    measurements: int
    epochs: float


class Race:
    """Asks and tells as far as the answers are known; what is missing is for others to try.

    Everything counts in full against the budget, also what another arm has paid for before.
    `reached` is how far it is: answers, those to an unfinished batch among them, by fidelity.
    """

    def __init__(self, arm: Arm, engine: Engine, budget: ArmBudget) -> None:
        self.arm = arm
        self.told: list[Trial] = []
        self.over = False
        self.reached = 0.0
        self._used_up: Ending | None = None
        self._engine = engine
        self._left = budget.measurements
        self._epochs_left = budget.epochs
        self._batch: list[Proposal] = []

    def advance(self, find: Callable[[Proposal], Trial | None]) -> list[Proposal]:
        """Go on until an answer is missing; what is missing of the batch, none when it is over."""
        while not self.over:
            if not self._batch:
                self._batch = self._within_budget(self._engine.ask())
                if not self._batch:
                    self.over = True
                    break
            found = [find(proposal) for proposal in self._batch]
            missing = [p for p, trial in zip(self._batch, found, strict=True) if trial is None]
            known = [*self.told, *(trial for trial in found if trial is not None)]
            self.reached = sum(max(trial.fidelity, _SCREENED) for trial in known)
            if missing:
                return missing
            trials = [trial for trial in found if trial is not None]
            self._engine.tell(trials)
            self.told += trials
            self._batch = []
        return []

    def trace(self, seed: int) -> ArmTrace:
        """What it was told so far."""
        engine, ended = self._engine, self._used_up or "settings"
        warm = engine.warm if isinstance(engine, WarmStarted) else ()
        return ArmTrace(
            self.arm.name,
            self.arm.kind,
            seed,
            tuple(self.told),
            ended if self.over else None,
            frozenset(genome.key for genome in warm),
            engine.drawn if isinstance(engine, BeginsAtRandom) else 0,
        )

    def _within_budget(self, batch: list[Proposal]) -> list[Proposal]:
        """As much of the batch as the budget has left, in its order; screening alone is no use."""
        if batch and self._left == 0:
            self._used_up = "measurements"
        if self._used_up:
            return []
        for length, proposal in enumerate(batch):
            full = proposal.fidelity == 1.0
            if full and self._left == 0:
                self._used_up = "measurements"
            elif self._epochs_left < proposal.epochs:
                self._used_up = "epochs"
            if self._used_up:
                return batch[:length]
            self._epochs_left -= proposal.epochs
            self._left -= full
        return batch
