"""The summary of a run: baseline, front and chosen network, computed from its store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from compress.genome import Genome, Quantize
from compress.metrics.scale import ACCURACY, MetricScale
from compress.pipeline.diagnosis import (
    Diagnosis,
    Remark,
    baseline_remarks,
    early_remarks,
    recall_remarks,
)
from compress.projects.find import find_task
from compress.types import Task
from hil.board import without_limits
from hil.energy.calibration import calibrated
from hil.objective import pareto
from hil.objective.choice import Eligible, Neighbors, choose_eligible, neighbors
from hil.objective.costs import as_measured
from hil.objective.floor import Floor
from hil.objective.goal import Goal
from hil.report.features_of_run import read_feature_costs
from hil.report.time_profile import TimeProfile, profile_of
from hil.store import sqlite
from hil.store.project_files import run_task
from hil.store.run_folder import board_of, read_diagnosis, read_pick
from hil.store.store import Final, Session, Store
from hil.types import Board, Trial

if TYPE_CHECKING:
    from hil.objective.decision import FloorOdds


@dataclass(frozen=True, slots=True)
class Summary:
    """The state of a run at one moment.

    `trials` were trained in full, `screened` ended at a lower fidelity. `baseline` is the network
    that was only quantized to int8. `front` holds the non-dominated measured trials. `candidates`
    are those that `goal` chooses from, which is that of the last session, or the task's accuracy
    floor if there was none. `chosen` is the best of them, or the one that the user chose by hand,
    `picked`, if that still meets the goal. `odds` are those of keeping the floor, by number
    (`Goal.odds`). `stopped_by` is None while the search runs, or if it was killed. `diagnosis` is
    that of the original network, None for runs of versions that made none, and `originals` its
    accuracy by split. Accuracies are the task's metric on the validation split as shares where more
    is better; `metric` is the scale by which people read them. `features` says what the task's
    front end costs on the board; empty if it has none, or was not measured.
    """

    task: str
    board: str
    seed: int
    goal: Goal
    goal_source: Literal["session", "task"]
    used_minutes: float
    stopped_by: str | None
    trials: tuple[Trial, ...]
    screened: tuple[Trial, ...]
    baseline: Trial | None
    front: tuple[Trial, ...]
    chosen: Trial | None
    finals: tuple[Final, ...]
    profile: TimeProfile
    diagnosis: Diagnosis | None
    originals: Mapping[str, float]
    metric: MetricScale = ACCURACY
    odds: Mapping[int, FloorOdds] = field(default_factory=dict)
    features: str = ""
    candidates: tuple[Eligible, ...] = ()
    picked: int | None = None

    @property
    def measured(self) -> tuple[Trial, ...]:
        """The trials that ran on the board."""
        return tuple(trial for trial in self.trials if trial.measurement is not None)

    @property
    def accuracy_target(self) -> float:
        """The accuracy that the chosen network must reach, as a share."""
        return self.goal.accuracy

    def meets_target(self, trial: Trial) -> bool:
        """True if the trial was measured and meets the accuracy target and every limit."""
        return trial.state == "measured" and self.goal.violation(trial) == 0.0

    @property
    def choice(self) -> Eligible | None:
        """The chosen trial with its cost and the bound of its accuracy."""
        return next((one for one in self.candidates if one.trial == self.chosen), None)

    @property
    def by_rule(self) -> Eligible | None:
        """The candidate that the goal chooses, whatever the user chose."""
        return choose_eligible(self.candidates, self.goal.nearness)

    @property
    def neighbors(self) -> Neighbors:
        """The networks beside the chosen one."""
        chosen = self.choice
        return Neighbors(None, None) if chosen is None else neighbors(self.candidates, chosen)

    def final(self, trial: Trial | None) -> Final | None:
        """The trial's figures on the test split; None if it has none."""
        for final in self.finals:
            if trial is not None and final.number == trial.number and final.split == "test":
                return final
        return None

    def right(self, trial: Trial | None) -> tuple[int, ...]:
        """The trial's right answers by class on the validation split; empty if unknown."""
        right = trial.measurement.right if trial and trial.measurement else ()
        known = self.diagnosis is not None and len(self.diagnosis.classes) == len(right)
        return right if known else ()

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """The warnings about the original network, the goal, the baseline and the chosen network.

        What holds for the int8 baseline is not said again where it is the chosen network.
        """
        if self.diagnosis is None:
            return ()
        found = early_remarks(self.diagnosis, self.accuracy_target)
        base = self.right(self.baseline)
        known = base or not self.diagnosis.samples
        if known and self.baseline is not None and self.baseline.accuracy is not None:
            found += baseline_remarks(self.diagnosis, base, self.baseline.accuracy)
        if self.chosen != self.baseline and (chosen := self.right(self.chosen)):
            found += recall_remarks(self.diagnosis, "the chosen network", chosen)
        return found

    def score(self, trial: Trial) -> float | None:
        """`Goal.score` relative to the baseline; None without a measurement or a baseline."""
        if trial.measurement is None or self.baseline is None:
            return None
        return self.goal.score(trial, self.baseline)

    def ranked_front(self) -> tuple[Trial, ...]:
        """The front in report order: trials that meet the target first, then by score."""

        def rank(trial: Trial) -> tuple[bool, float]:
            score = self.score(trial)
            if score is None:  # without a baseline, weights do not count, as in `Goal.best`
                first = pareto.measurement_of(self.front[0])
                score = pareto.score(pareto.measurement_of(trial), first)
            return not self.meets_target(trial), score

        return tuple(sorted(self.front, key=rank))


def summarize(store: Store) -> Summary:
    """The summary of the run's present state. Raises UserError for a damaged store."""
    identity, sessions, everything = store.identity, store.sessions(), store.trials()
    trials = tuple(trial for trial in everything if trial.fidelity == 1.0)
    front, lone = pareto.front(trials), _baseline(trials)
    board = as_measured(calibrated(board_of(store.folder, identity.board)), everything)
    diagnosis = read_diagnosis(store.folder)
    if sessions:
        metric = ACCURACY if diagnosis is None else diagnosis.metric
        goal = _goal(board, sessions[-1], store.path)
    else:  # an imported table has no goal
        task = find_task(run_task(store.folder, identity.task))
        metric = _metric(task) if diagnosis is None else diagnosis.metric
        goal = _task_goal(board, task, metric)
    candidates, picked = goal.candidates(trials, lone), read_pick(store.folder)
    return Summary(
        task=identity.task,
        board=identity.board,
        seed=identity.seed,
        goal=goal,
        goal_source="session" if sessions else "task",
        used_minutes=store.used_minutes(),
        stopped_by=sessions[-1].stopped_by if sessions else None,
        trials=trials,
        screened=tuple(trial for trial in everything if trial.fidelity < 1.0),
        baseline=lone,
        front=front,
        chosen=chosen_trial(candidates, goal, picked),
        finals=store.finals(),
        profile=profile_of(everything, sessions),
        diagnosis=diagnosis,
        originals=store.original_accuracies(),
        metric=metric,
        odds=goal.odds(trials),
        features=read_feature_costs(store.folder),
        candidates=candidates,
        picked=picked,
    )


def chosen_trial(candidates: Sequence[Eligible], goal: Goal, picked: int | None) -> Trial | None:
    """The trial of the number `picked` if it is a candidate, else the one that `goal` chooses."""
    by_hand = next((one for one in candidates if one.trial.number == picked), None)
    found = by_hand or choose_eligible(candidates, goal.nearness)
    return None if found is None else found.trial


def _metric(task: Task) -> MetricScale:
    """The scale of a task's metric without its data: that of its skill where less is better."""
    from compress.metrics.registry import metric_of  # NumPy: there is a run to summarize

    metric = metric_of(task)
    if metric.better == "higher":
        return MetricScale(metric.name)
    return MetricScale(f"skill of {metric.name}")


def _task_goal(board: Board, task: Task, metric: MetricScale) -> Goal:
    """The task's own floor, with the board's memories as limits.

    A floor in the unit of a metric whose reference is not known, as without a diagnosis, is left
    out: then networks need be no better than a constant answer.
    """
    from compress.metrics.registry import metric_of

    known = metric_of(task).name == metric.name
    accuracy = Floor(task.accuracy_floor).share(metric, 0.0) if known else 0.0
    return Goal.of(without_limits(board), accuracy)


def _goal(board: Board, session: Session, path: Path) -> Goal:
    """The goal of a session.

    Older stores have only its accuracy target: then the board's memories are the limits, and the
    states of the trials tell which exceed those of that time.
    """
    if session.goal is None:
        return Goal.of(without_limits(board), session.accuracy_target)
    try:
        return Goal.from_json(board, session.goal)
    except (KeyError, TypeError):
        raise sqlite.damaged(path, "a session's goal") from None


def _baseline(trials: tuple[Trial, ...]) -> Trial | None:
    """The measured trial of the plain `Quantize()`, else the first with a `Quantize` stage only."""
    lone = [
        trial
        for trial in trials
        if trial.measurement is not None
        and len(trial.genome.stages) == 1
        and isinstance(trial.genome.stages[0], Quantize)
    ]
    plain = [trial for trial in lone if trial.genome == Genome((Quantize(),))]
    return next(iter(plain or lone), None)
