"""When a search ends, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from hil.energy.machine_energy import EnergyBudget
from hil.objective.goal import Goal
from hil.objective.pareto import front
from hil.search.nsga2 import growth
from hil.store.store import Store
from hil.types import Trial


class Budget(Protocol):
    """What a search may use. `patience_trials` without improvement end it, once the goal is met."""

    @property
    def trials(self) -> int: ...
    @property
    def minutes(self) -> float: ...
    @property
    def patience_trials(self) -> int: ...


class StopRule:
    """Told every batch; `trials` counts those that were trained in full.

    "Target" is the goal met, by a trial that keeps every limit, and no improvement for
    `patience_trials`.
    """

    def __init__(self, budget: Budget, goal: Goal, energy: EnergyBudget | None = None) -> None:
        self.budget = budget
        self.goal = goal
        self.energy = energy
        self.idle_trials = 0
        self.exhausted = False
        self.told: list[Trial] = []

    def batch_ended(self, trials: Sequence[Trial]) -> None:
        """Note whether these trials improved the front: its hypervolume by over a thousandth."""
        self.exhausted = not trials
        full = [trial for trial in trials if trial.fidelity == 1.0]
        before = feasible_front(self.told, self.goal)
        self.told += full
        after = feasible_front(self.told, self.goal)
        idle = bool(before) and growth(before, after) <= 0.001
        self.idle_trials = self.idle_trials + len(full) if idle else 0

    def note_energy(self, store: Store) -> None:
        """Add to the run's energy what was used since the last time; call it as trials end."""
        if self.energy is not None:
            store.add_energy(self.energy.meter.taken_joules())

    def may_start(self, store: Store, running: int) -> bool:
        """Whether the budget allows one more trial beside those running."""
        return not self._used_up(store, running)

    def reason(self, store: Store) -> str:
        """'trials', 'minutes', 'energy', 'exhausted' (nothing is left to try), 'target', or ''."""
        used_up = self._used_up(store)
        if used_up:
            return used_up
        if self.exhausted:
            return "exhausted"
        return "target" if self.idle_trials >= self.budget.patience_trials else ""

    def _used_up(self, store: Store, running: int = 0) -> str:
        """The budget that is used up, '' if none is."""
        if store.count() + running >= self.budget.trials:
            return "trials"
        if store.used_minutes() >= self.budget.minutes:
            return "minutes"
        if self.energy is not None and store.used_joules() >= self.energy.joules:
            return "energy"
        return ""


def feasible_front(trials: Iterable[Trial], goal: Goal) -> tuple[Trial, ...]:
    """Non-dominated trials among those that keep every limit."""
    return front(trial for trial in trials if goal.violation(trial) == 0.0)
