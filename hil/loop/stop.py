"""Stop rules of a search: budgets, no improvement, nothing left to try."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from hil.energy.machine_energy import EnergyBudget
from hil.objective.goal import Goal
from hil.objective.pareto import front
from hil.search.nsga2 import growth
from hil.store.store import Store
from hil.types import Trial

# Relative growth of the front's hypervolume up to which a batch counts as no improvement.
_LEAST_GROWTH = 0.001


class Budget(Protocol):
    """Limits of a search, over all sessions of its run: trials in full, and minutes.

    `patience_trials` trials in a row without improvement end the search once the goal is met.
    """

    @property
    def trials(self) -> int: ...
    @property
    def minutes(self) -> float: ...
    @property
    def patience_trials(self) -> int: ...


class StopRule:
    """Decides when a search ends; it is told every batch.

    Only trials in full (fidelity 1) count. "target" means that at least one trial meets the goal
    and keeps every limit, and that the front has not improved for `patience_trials` trials.
    """

    def __init__(self, budget: Budget, goal: Goal, energy: EnergyBudget | None = None) -> None:
        self.budget = budget
        self.goal = goal
        self.energy = energy
        self.idle_trials = 0
        self.exhausted = False
        self.told: list[Trial] = []

    def batch_ended(self, trials: Sequence[Trial]) -> None:
        """Note whether the batch improved the feasible front. An empty batch means exhausted."""
        self.exhausted = not trials
        full = [trial for trial in trials if trial.fidelity == 1.0]
        before = feasible_front(self.told, self.goal)
        self.told += full
        after = feasible_front(self.told, self.goal)
        idle = bool(before) and growth(before, after) <= _LEAST_GROWTH
        self.idle_trials = self.idle_trials + len(full) if idle else 0

    def note_energy(self, store: Store) -> None:
        """Add the energy used since the last call to the store; call it whenever trials end."""
        if self.energy is not None:
            store.add_energy(self.energy.meter.joules_since_last_call())

    def may_start(self, store: Store, running: int) -> bool:
        """True if the budget allows one more trial beside the `running` ones."""
        return not self._used_up(store, running)

    def reason(self, store: Store) -> str:
        """Why the search has to stop, or '' to go on.

        'trials', 'minutes' or 'energy' for a used-up budget, 'exhausted' if the engine has nothing
        left to try, 'target' if the goal is met and the front no longer improves.
        """
        used_up = self._used_up(store)
        if used_up:
            return used_up
        if self.exhausted:
            return "exhausted"
        return "target" if self.idle_trials >= self.budget.patience_trials else ""

    def _used_up(self, store: Store, running: int = 0) -> str:
        """The name of the budget that is used up, '' if none is."""
        if store.count() + running >= self.budget.trials:
            return "trials"
        if store.used_minutes() >= self.budget.minutes:
            return "minutes"
        if self.energy is not None and store.used_joules() >= self.energy.joules:
            return "energy"
        return ""


def feasible_front(trials: Iterable[Trial], goal: Goal) -> tuple[Trial, ...]:
    """The non-dominated trials among those that meet the accuracy and every limit of `goal`."""
    return front(trial for trial in trials if goal.violation(trial) == 0.0)
