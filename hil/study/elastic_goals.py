"""The verdicts on the elastic search: against the adaptive one and controls, on unseen data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from compress.projects.find import identity_of_task
from hil import formatting
from hil.search.inherited_ranks import InheritedRanks, inherited_ranks
from hil.study.arm_names import ADAPTIVE, CONTROLS, ELASTIC
from hil.study.choices import Cost
from hil.study.confirmed import Confirmed, confirmed, kept
from hil.study.result import StudyResult
from hil.study.stats import LEAST_SEEDS, holm, p_below
from hil.study.verdicts import (
    SIGNIFICANT,
    GoalVerdict,
    between,
    p_words,
    reached_if,
    too_few,
)
from hil.study.volume import Curves

_MORE_VOLUME, _P_MORE_VOLUME = 1.15, 0.01  # than the adaptive search's
CHECKED_AT = 50  # measurements, and at the end
# "Not worse" than a control: above so much of its hypervolume, at p < 0.05.
NOT_WORSE = 0.95
_GOAL_TASK, _GOAL_BOARD = "kws", "m4"
_MOST: Mapping[tuple[float, Cost], float] = {
    (1.0, "count"): 0.36,
    (1.0, "model flash"): 0.22,
    (2.0, "count"): 0.29,
    (2.0, "model flash"): 0.18,
}
_KEPT = 0.8
_RANK, _SHAPES = 0.5, 30  # correlation given the MACs, over so many shapes


def elastic_verdicts(result: StudyResult, curves: Mapping[str, Curves]) -> tuple[GoalVerdict, ...]:
    """The verdicts on the goals of the elastic search; none in a study without it.

    The ratios to int8 are goals for `kws` on `m4` only.
    """
    if ELASTIC not in curves:
        return ()
    found = tuple(one for one in confirmed(result) if one.arm == ELASTIC)
    at_home = (identity_of_task(result.task), result.board.name) == (_GOAL_TASK, _GOAL_BOARD)
    return (
        _above_adaptive(result, curves),
        *(
            _not_worse(curves, control, count)
            for control in CONTROLS
            if control in curves
            for count in sorted({min(CHECKED_AT, result.most_measured), result.most_measured})
        ),
        *((_ratio(found, *key, most) for key, most in _MOST.items()) if at_home else ()),
        _keeps(found),
        _ranks(result),
    )


def differences(
    curves: Mapping[str, Curves], other: str, count: int, share: float = 1.0
) -> list[float]:
    """`share` of another arm's hypervolume less the elastic arm's, over their common seeds."""
    mine, theirs = curves[ELASTIC].at_count(count), curves[other].at_count(count)
    return [share * theirs[seed] - mine[seed] for seed in sorted(mine.keys() & theirs.keys())]


def p_above_controls(curves: Mapping[str, Curves], count: int) -> dict[str, float | None]:
    """The p-value, for each control of the study, that the elastic arm's hypervolume is larger."""
    known = [control for control in CONTROLS if control in curves]
    return {control: p_below(differences(curves, control, count)) for control in known}


def seed_ranks(result: StudyResult) -> list[InheritedRanks]:
    """The rank correlations of the elastic arm, one for each seed that has one."""
    traces = [trace for trace in result.traces if trace.arm == ELASTIC]
    return [found for trace in traces if (found := inherited_ranks(trace.trials)) is not None]


def _above_adaptive(result: StudyResult, curves: Mapping[str, Curves]) -> GoalVerdict:
    goal = (
        f"hypervolume at the end at least {_MORE_VOLUME:g} times that of {ADAPTIVE}, "
        f"p < {_P_MORE_VOLUME:g}"
    )
    if ADAPTIVE not in curves:
        return GoalVerdict(goal, "not decided", f"arm {ADAPTIVE} has no trials")
    count = result.most_measured
    ratio, numbers = _ratio_of_means(curves, ADAPTIVE, count)
    p = p_below(differences(curves, ADAPTIVE, count))
    numbers = f"{numbers} ({p_words(p)})"
    if p is None:
        seeds = len(differences(curves, ADAPTIVE, count))
        return GoalVerdict(goal, "not decided", f"{numbers}; {too_few(seeds)}")
    return GoalVerdict(goal, reached_if(ratio >= _MORE_VOLUME and p < _P_MORE_VOLUME), numbers)


def _not_worse(curves: Mapping[str, Curves], control: str, count: int) -> GoalVerdict:
    goal = (
        f"hypervolume at {count} measurements not worse than that of {control}: above "
        f"{NOT_WORSE:g} of it, p < {SIGNIFICANT}"
    )
    _, numbers = _ratio_of_means(curves, control, count)
    p = p_below(differences(curves, control, count, NOT_WORSE))
    above = p_above_controls(curves, count)
    numbers += (
        f" ({p_words(p)}); above all of it {p_words(above[control])}, "
        f"Holm {p_words(holm(above)[control])}"
    )
    if p is None:
        seeds = len(differences(curves, control, count))
        return GoalVerdict(goal, "not decided", f"{numbers}; {too_few(seeds)}")
    return GoalVerdict(goal, reached_if(p < SIGNIFICANT), numbers)


def _ratio_of_means(curves: Mapping[str, Curves], other: str, count: int) -> tuple[float, str]:
    """The elastic arm's mean hypervolume over that of another arm, in their common seeds."""
    mine, theirs = curves[ELASTIC].at_count(count), curves[other].at_count(count)
    seeds = mine.keys() & theirs.keys()
    own, rival = (fmean(found[seed] for seed in seeds) for found in (mine, theirs))
    ratio = own / rival if rival > 0 else float("inf")
    return ratio, f"{own:.4f} against {rival:.4f}, {ratio:.2f} times"


def _ratio(found: Sequence[Confirmed], floor: float, cost: Cost, most: float) -> GoalVerdict:
    goal = f"{cost} at most {most:g} of int8's at -{floor:g}, the floor kept on the test split"
    mine = [one for one in found if (one.floor_points, one.cost) == (floor, cost)]
    if not mine:
        return GoalVerdict(goal, "not decided", "no seed has an int8 network")
    mean = fmean(one.confirmed_ratio for one in mine)
    numbers = (
        f"{mean:.3f} where int8 takes the place of networks that do not keep it, "
        f"{fmean(one.ratio for one in mine):.3f} as chosen on validation"
    )
    if any(one.trial is not None and one.keeps_floor is None for one in mine):
        return GoalVerdict(goal, "not decided", f"{numbers}; not all were tested")
    return GoalVerdict(goal, reached_if(mean <= most), numbers)


def _keeps(found: tuple[Confirmed, ...]) -> GoalVerdict:
    goal = f"{100 * _KEPT:g} % of the networks chosen by the decision rule keep the floor on test"
    good, known = kept(found)
    if not known:
        return GoalVerdict(goal, "not decided", "none was chosen and tested")
    numbers = f"{good} of {known}, {100 * good / known:.0f} %"
    return GoalVerdict(goal, reached_if(good >= _KEPT * known), numbers)


def _ranks(result: StudyResult) -> GoalVerdict:
    goal = (
        f"rank correlation of inherited and trained accuracy, given the MACs, at least {_RANK:g} "
        f"over {_SHAPES} shapes"
    )
    found = seed_ranks(result)
    if not found:
        return GoalVerdict(goal, "not decided", "no seed trained three shapes")
    mean = fmean(one.given_macs for one in found)
    shapes = [one.shapes for one in found]
    numbers = (
        f"mean over {formatting.number_of(len(found), 'seed')} {mean:.2f} "
        f"(alone {fmean(o.spearman for o in found):.2f}, "
        f"given the count {fmean(o.given_count for o in found):.2f}), over {between(shapes)} shapes"
    )
    if fmean(shapes) < _SHAPES or len(found) < LEAST_SEEDS:
        return GoalVerdict(goal, "not decided", f"{numbers}: too few")
    return GoalVerdict(goal, reached_if(mean >= _RANK), numbers)
