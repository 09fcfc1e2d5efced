"""How well the accuracy that shapes inherit ranks them by what training makes of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from compress.genome import Pick, Stage
from hil.search.engine import Proposal
from hil.search.rank import partial_spearman, spearman
from hil.types import Trial


@dataclass(frozen=True, slots=True)
class InheritedRanks:
    """Spearman's rank correlation of inherited and trained accuracy over `shapes` shapes.

    `given_macs` and `given_count` are partial correlations, with the multiply-accumulates or the
    board's count held fixed: what a look says beyond "larger networks are more accurate".
    """

    shapes: int
    spearman: float
    given_macs: float
    given_count: float


def inherited_ranks(trials: Sequence[Trial]) -> InheritedRanks | None:
    """The correlation over the shapes that were looked at and trained; None below 3.

    A shape's trained accuracy is the mean over its shortest trainings, whatever their tails: what
    goes on longer was chosen by its accuracy. It is that on the judging half of the validation
    samples where that is known, since looks used the other half.
    """
    looked = {
        _shape(trial): trial.accuracy
        for trial in trials
        if Proposal(trial.genome, trial.fidelity).is_inherited and trial.accuracy is not None
    }
    trained: dict[tuple[Stage, ...], list[Trial]] = defaultdict(list)
    for trial in trials:
        shape = _shape(trial)
        if shape in looked and trial.measurement is not None and _tuning(trial) > 0:
            trained[shape].append(trial)
    if len(trained) < 3:
        return None
    rows = []
    for shape, alike in trained.items():
        least = min(map(_tuning, alike))
        first = [trial for trial in alike if _tuning(trial) == least]
        rows.append(
            (looked[shape], *(fmean(f(t) for t in first) for f in (_accuracy, _macs, _count)))
        )
    inherited, accuracy, macs, count = (list(column) for column in zip(*rows, strict=True))
    return InheritedRanks(
        shapes=len(rows),
        spearman=spearman(inherited, accuracy),
        given_macs=partial_spearman(inherited, accuracy, macs),
        given_count=partial_spearman(inherited, accuracy, count),
    )


def _shape(trial: Trial) -> tuple[Stage, ...]:
    """The stages up to the last pick; none without one."""
    stages = trial.genome.stages
    picks = [place for place, stage in enumerate(stages) if isinstance(stage, Pick)]
    return stages[: picks[-1] + 1] if picks else ()


def _tuning(trial: Trial) -> float:
    """The epochs of training after the pick."""
    return sum(stage.epochs for stage in trial.genome.stages[len(_shape(trial)) :])


def _accuracy(trial: Trial) -> float:
    measured = trial.measurement
    if measured is not None and len(measured.halves) == 2:
        return measured.halves[1].accuracy
    return trial.accuracy or 0.0


def _macs(trial: Trial) -> float:
    return 0.0 if trial.estimate is None else trial.estimate.macs


def _count(trial: Trial) -> float:
    return 0.0 if trial.measurement is None else trial.measurement.count
