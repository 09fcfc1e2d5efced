"""Live progress of a search on stderr: trials, best trial so far, rate and time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import ceil
from typing import Self

from rich.console import Console

from compress.metrics.scale import ACCURACY, MetricScale
from compress.space.recipes import baseline
from hil import formatting
from hil.loop.stop import Budget
from hil.objective import pareto
from hil.objective.goal import Goal
from hil.store.store import Store
from hil.terminal import ProgressLine, time_left
from hil.trial.training_file import Training
from hil.types import NO_ORACLE, Trial


class SearchProgress:
    """The progress line of a search, as a context manager.

    It shows the number of trials, the best trial by `goal`, the rate and the time left. The time
    left is an upper bound, from whichever budget (trials or minutes) ends first: the search may
    end before, when its front no longer improves.
    """

    def __init__(
        self,
        budget: Budget,
        goal: Goal,
        console: Console | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._budget = budget
        self._goal = goal
        self._metric = ACCURACY
        self._line = ProgressLine(console, now)
        self._now = now
        self._began = now()
        self._trials_before: int | None = None
        self._known = 1
        self._screened = 0
        self._best: Trial | None = None
        self._said_unjudged = False
        self._screened_before: int | None = None
        self._measured = 0
        self._shown: tuple[float, float] | None = None  # share and time of another activity
        self.activity = ""  # what the engine does, if it says so

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()

    def follow(self, goal: Goal, metric: MetricScale) -> None:
        """Show the best trial by this goal from now on, its accuracy in the unit of `metric`."""
        self._goal, self._metric = goal, metric

    def update(
        self,
        store: Store,
        generation: int | None = None,
        running: int = 0,
        trainings: Sequence[Training] = (),
    ) -> None:
        """Redraw the line. The trials are read only if the store has new ones.

        `running` trials have begun and not ended; `trainings` are those of which the progress is
        known, the longest first.
        """
        count = store.count()
        if self._trials_before is None:
            self._trials_before = count
        if store.next_number() != self._known:
            self._known = store.next_number()
            full = store.trials(fidelity=1.0)
            self._screened = store.count_screened()
            self._measured = sum(trial.measurement is not None for trial in full)
            self._best = self._best_of(full)
        if self._screened_before is None:
            self._screened_before = self._screened
        elapsed_minutes = max(self._now() - self._began, 1e-9) / 60
        rate = (count - self._trials_before) / elapsed_minutes
        looked = (self._screened - self._screened_before) / elapsed_minutes
        done = [f"{count}/{self._budget.trials} trials"]
        if self._screened:
            done.append(f"{self._screened:,} screened")
        if rate > 0:
            done.append(f"{60 * rate:.0f} trials/h")
        if self.activity and looked > 0:
            done.append(f"{60 * looked:,.0f} looked at/h")
        if generation is not None:
            done.append(f"generation {generation}")
        used_minutes = store.used_minutes()
        used = (count / self._budget.trials, used_minutes / self._budget.minutes)
        self._line.show(
            min(1.0, max(used)),
            *filter(None, [self._doing(trainings)]),
            ", ".join(done),
            self._left(rate, count, used_minutes, running, trainings),
            _best_words(self._best, self._metric),
        )

    def _doing(self, trainings: Sequence[Training]) -> str:
        """What the engine does, and how far the training is that takes longest."""
        if not trainings:
            return self.activity
        one = trainings[0]
        epoch = f"epoch {min(int(one.done) + 1, ceil(one.epochs))} of {ceil(one.epochs)}"
        words = f"{self.activity}: {epoch}" if self.activity else f"training, {epoch}"
        return words if one.left_s is None else f"{words}, {formatting.duration(one.left_s)} left"

    def _left(
        self,
        rate: float,
        count: int,
        used_minutes: float,
        running: int,
        trainings: Sequence[Training],
    ) -> str:
        """The time left at most; once the budget is used up, what the search waits for."""
        minutes = self._budget.minutes - used_minutes
        if rate > 0:
            minutes = min(minutes, (self._budget.trials - count) / rate)
        if minutes > 0:
            return f"at most {formatting.duration(60 * minutes)} left"
        if not running:
            return "budget used up"
        waits = f"budget used up: waiting for {formatting.number_of(running, 'trial')} that began"
        left_s = max((one.left_s or 0.0 for one in trainings), default=0.0)
        return f"{waits}, about {formatting.duration(left_s)} of training" if left_s else waits

    def _best_of(self, trials: Sequence[Trial]) -> Trial | None:
        plain = (t for t in trials if t.genome == baseline() and t.measurement is not None)
        return self._goal.best(trials, next(plain, None))

    def note_unjudged(self, trial: Trial) -> None:
        """Say, for the first of them, that no oracle judged a trial's network."""
        if trial.provenance.oracles == NO_ORACLE and not self._said_unjudged:
            self._said_unjudged = True
            self._line.note(
                f"trial {trial.number}: no oracle judged its network, hil doctor and hil bench say "
                "why (said for the first one only; each trial's provenance names its oracles)"
            )

    def note(self, text: str) -> None:
        """Print a line that stays."""
        self._line.note(text)

    def show(self, share: float | None, text: str) -> None:
        """Show another activity of which `share` (0..1) is done, None if that is not known.

        With the time left by the rate since this activity began.
        """
        if share is None or not self._shown or share < self._shown[0]:
            self._shown = (share or 0.0, self._now())
        left = "" if share is None else time_left(share, self._now() - self._shown[1])
        self._line.show(share, text + left)


def _best_words(best: Trial | None, metric: MetricScale) -> str:
    if best is None:
        return f"none meets the {metric.title} yet"
    measurement = pareto.measurement_of(best)
    return (
        f"best {formatting.metric(metric, best.accuracy or 0.0)}, "
        f"{formatting.kib(measurement.flash.total)} KiB, "
        f"{formatting.short_count(measurement.count)} {formatting.COUNT_NOUNS[measurement.counter]}"
    )
