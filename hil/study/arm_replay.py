"""The replay of one arm of a study: its engine is told stored trials, within its budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hil.search.engine import BeginsAtRandom, Engine, Proposal, WarmStarted
from hil.study.arms import Arm
from hil.study.result import ArmTrace, Ending
from hil.trial.charges import Account, Charge, LookPrices, Payment
from hil.types import Trial

# The time to screen a candidate without training, as a share of full training.
_SCREENED = 0.05
_ROUNDING = 1e-6  # epochs: of sums of fractions


@dataclass(frozen=True, slots=True)
class ArmBudget:
    """The limits of every arm in each seed: networks trained in full, and epochs of training.

    Epochs are counted as `hil.trial.charges` does.
    """

    measurements: int
    epochs: float


class ArmReplay:
    """One arm in one seed: its engine asks, and is told the trials that are known.

    Trials that are not known yet are for the caller to run. The arm pays for every trial, and once
    for every stage that several of its own share, even if another arm had them run before. `told`
    are the trials of finished batches, `over` is true once the arm has ended, and `reached` is its
    progress: the sum of the fidelities of all known trials, those of the unfinished batch included
    (at least 0.05 each).
    """

    def __init__(
        self, arm: Arm, engine: Engine, budget: ArmBudget, looks: LookPrices | None = None
    ) -> None:
        self.arm = arm
        self.told: list[Trial] = []
        self.charges: list[Charge] = []
        self.over = False
        self.reached = 0.0
        self._used_up: Ending | None = None
        self._engine = engine
        self._left = budget.measurements
        self._epochs_left = budget.epochs
        self._account = Account(looks or LookPrices())
        self._batch: list[Proposal] = []
        self._payments: list[Payment] = []

    def advance(self, find: Callable[[Proposal], Trial | None]) -> list[Proposal]:
        """Replay until a trial is missing; return the missing proposals, none at the end."""
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
            paid = zip(self._payments, trials, strict=True)
            self.charges += [payment.charge(trial) for payment, trial in paid]
            self._batch = []
        return []

    def trace(self, seed: int) -> ArmTrace:
        """The trials told so far, and how the arm ended."""
        engine, ended = self._engine, self._used_up or "settings"
        warm = engine.warm if isinstance(engine, WarmStarted) else ()
        return ArmTrace(
            arm=self.arm.name,
            kind=self.arm.kind,
            seed=seed,
            trials=tuple(self.told),
            charges=tuple(self.charges),
            ended=ended if self.over else None,
            warm=frozenset(genome.key for genome in warm),
            drawn=engine.drawn if isinstance(engine, BeginsAtRandom) else 0,
        )

    def _within_budget(self, batch: list[Proposal]) -> list[Proposal]:
        """The first proposals of the batch that the remaining budget allows.

        None once the measurements are used up: screening alone would lead to nothing.
        """
        if batch and self._left == 0:
            self._used_up = "measurements"
        if self._used_up:
            return []
        self._payments = []
        for length, proposal in enumerate(batch):
            full = proposal.fidelity == 1.0
            if full and self._left == 0:
                self._used_up = "measurements"
                return batch[:length]
            payment = self._account.pay(proposal, self._epochs_left + _ROUNDING)
            if payment is None:
                self._used_up = "epochs"
                return batch[:length]
            self._payments.append(payment)
            self._epochs_left -= payment.epochs
            self._left -= full
        return batch
