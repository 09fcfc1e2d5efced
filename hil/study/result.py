"""The result of a study: the trials of each arm and seed, in the order told.

Plain values; `hil.study.choices`, `hil.study.stats` and `hil.study.verdicts` evaluate them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from compress.projects.find import TaskRef
from hil.store.store import Final
from hil.study.arm_names import ArmKind
from hil.trial.charges import Charge
from hil.types import Board, Trial

Ending = Literal["settings", "epochs", "measurements"]


@dataclass(frozen=True, slots=True)
class ArmTrace:
    """The trials of one arm in one seed, of all fidelities, in the order told, within its budget.

    `charges` has what each of the trials cost the arm.
    `kind`: "single" is one method, "recipe" a fixed order of methods, "search" an engine. `ended`
    is the reason for the end: all "settings" were tried, or the next proposal needed more "epochs"
    or "measurements" than were left; None while the arm is unfinished. `warm` has the keys of the
    warm start's genomes. `drawn` is the number of random genomes with which the engine begins.
    """

    arm: str
    kind: ArmKind
    seed: int
    trials: tuple[Trial, ...]
    charges: tuple[Charge, ...]
    ended: Ending | None = "settings"
    warm: frozenset[str] = frozenset()
    drawn: int = 0

    def only(self, keep: Callable[[Trial], bool]) -> ArmTrace:
        """The trace with some of its trials, each with its charge."""
        kept = [pair for pair in zip(self.trials, self.charges, strict=True) if keep(pair[0])]
        return replace(
            self,
            trials=tuple(trial for trial, _ in kept),
            charges=tuple(charge for _, charge in kept),
        )

    @property
    def finished(self) -> bool:
        """True if the arm used up its budget or had nothing left to try."""
        return self.ended is not None

    @property
    def measured(self) -> int:
        """The number of networks that ran on the board."""
        return sum(trial.measurement is not None for trial in self.trials)

    @property
    def screened(self) -> int:
        """The number of trials with less than full training."""
        return sum(trial.fidelity < 1.0 for trial in self.trials)

    @property
    def looked(self) -> int:
        """The number of trials without training (fidelity 0)."""
        return sum(trial.fidelity == 0.0 for trial in self.trials)

    @property
    def epochs(self) -> float:
        """The epochs charged (`hil.trial.charges`), also for what other arms had trained."""
        return sum(charge.epochs for charge in self.charges)

    @property
    def seconds(self) -> float:
        """The seconds of all processes that the arm alone would have taken."""
        return sum(charge.seconds for charge in self.charges)

    @property
    def warm_measured(self) -> int:
        """The number of networks of the warm start that ran on the board."""
        return sum(
            trial.measurement is not None and trial.genome.key in self.warm for trial in self.trials
        )

    @property
    def drawn_measured(self) -> int:
        """The number of networks of the random start that ran on the board."""
        return sum(trial.measurement is not None for trial in self.trials[: self.drawn])

    @property
    def is_random_search(self) -> bool:
        """True if the arm has not come further than its random start."""
        return 0 < len(self.trials) <= self.drawn


@dataclass(frozen=True, slots=True)
class StudyResult:
    """All traces of a study, and the float networks and test accuracies to compare them with.

    Each arm may use `budget_measurements` measurements and `budget_epochs` epochs of training in
    each seed. `originals` has the float network's accuracy (a share of 1) by seed and split ("val",
    "test"), `finals` the figures on the test split by seed and trial number. `lost` has, by seed,
    the numbers of logged networks that came out differently when they were recreated. `not_begun`
    are the requested seeds without any trial.
    """

    task: TaskRef
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
        """The most measurements of any arm and seed, at least 1.

        Fewer than the budget if every arm used up its epochs before.
        """
        return max((trace.measured for trace in self.traces), default=0) or 1
