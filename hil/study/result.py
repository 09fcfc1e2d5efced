"""What a study has found: for each arm and seed its trials in the order it was told of them.

Plain values; `hil.study.choices`, `study_stats` and `study_goals` make statistics of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hil.store.store import Final
from hil.study.arm_names import ArmKind
from hil.types import Board, Trial

Ending = Literal["settings", "epochs", "measurements"]


@dataclass(frozen=True, slots=True)
class ArmTrace:
    """One arm with one seed: its trials of all fidelities, in the order told, cut at its budget.

    A "single" arm is one method, a "recipe" a fixed order of methods, a "search" chooses itself.
    `ended` tells what ended it: all "settings" were tried, or the next one needed more "epochs" or
    "measurements" than were left; None if there is still something to try. `warm` has the keys of
    the genomes that a search had before it learned anything, `drawn` is how many networks one
    draws at random before it uses what it learned.
    """

    arm: str
    kind: ArmKind
    seed: int
    trials: tuple[Trial, ...]
    ended: Ending | None = "settings"
    warm: frozenset[str] = frozenset()
    drawn: int = 0

    @property
    def finished(self) -> bool:
        """Whether it used its budget up or had nothing left to try."""
        return self.ended is not None

    @property
    def measured(self) -> int:
        """How many of its networks ran on the board."""
        return sum(trial.measurement is not None for trial in self.trials)

    @property
    def screened(self) -> int:
        """How many of its trials were judged by less than their whole training."""
        return sum(trial.fidelity < 1.0 for trial in self.trials)

    @property
    def epochs(self) -> float:
        """How many it trained, screening included; what other arms trained before it counts."""
        return sum(trial.epochs for trial in self.trials)

    @property
    def warm_measured(self) -> int:
        """How many of the networks that ran on the board are of its warm start."""
        return sum(
            trial.measurement is not None and trial.genome.key in self.warm for trial in self.trials
        )

    @property
    def drawn_measured(self) -> int:
        """How many of the networks that ran on the board it drew before it used what it learned."""
        return sum(trial.measurement is not None for trial in self.trials[: self.drawn])

    @property
    def is_random_search(self) -> bool:
        """Whether it ended, or has come, no further than that."""
        return 0 < len(self.trials) <= self.drawn


@dataclass(frozen=True, slots=True)
class StudyResult:
    """All traces of a study, and what they are compared with.

    Each arm may use `budget_measurements` measurements and `budget_epochs` epochs of training in
    each seed. `originals` holds by seed the float network's accuracies (shares of 1) by split,
    "val" and "test"; `finals` by seed and trial number the figures on the test split; `lost` by
    seed the numbers of networks that a log tells of and that came out differently when made again;
    `not_begun` are seeds that were asked for, too, and of which there is nothing yet.
    """

    task: str
    board: Board
    budget_measurements: int
    budget_epochs: float
    seeds: tuple[int, ...]
    traces: tuple[ArmTrace, ...]
    originals: Mapping[int, Mapping[str, float]]
    finals: Mapping[int, Mapping[int, Final]]
    lost: Mapping[int, frozenset[int]] = field(default_factory=dict)
    not_begun: tuple[int, ...] = ()

    @property
    def most_measured(self) -> int:
        """Measurements of the arm and seed that has most: fewer than its budget where the training
        ended it. 1 before anything was measured.
        """
        return max((trace.measured for trace in self.traces), default=0) or 1
