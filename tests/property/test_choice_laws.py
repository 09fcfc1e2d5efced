"""Laws of the choice among networks that meet a goal (docs/decisions/0039), for any trials."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.trials import BASELINE, measured
from hil.board import load_board
from hil.figures import HalfFigures
from hil.objective.choice import Eligible, choose_eligible, neighbors
from hil.objective.goal import Goal, ObjectiveWeights
from hil.objective.pareto import costs
from hil.types import Trial

BOARD = load_board("m4")
FLOOR = 0.92
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _trial(number: int, row: tuple[float, int, int, int], error: float | None) -> Trial:
    accuracy, flash, ram, count = row
    trial = measured(number, BASELINE, accuracy=accuracy, flash=flash, ram=ram, count=count)
    if error is None or trial.measurement is None:
        return trial
    half = HalfFigures(accuracy, error, 0.98 - accuracy, error)
    return replace(trial, measurement=replace(trial.measurement, halves=(half, half)))


# few values, so that ties and equal points are common, and some that are close to each other
_rows = st.tuples(
    st.sampled_from([0.90, 0.92, 0.95, 0.951, 0.98]),
    st.sampled_from([20_000, 20_001, 20_400, 21_000, 30_000]),
    st.sampled_from([5_000, 5_001, 5_200, 8_000]),
    st.sampled_from([100, 101, 103, 110, 150]),
)
_trials = st.lists(st.tuples(_rows, st.sampled_from([None, 0.001, 0.02])), max_size=10).map(
    lambda rows: [_trial(number, row, error) for number, (row, error) in enumerate(rows, start=1)]
)
_goals = st.builds(
    lambda confidence, weights, near: replace(
        Goal.of(BOARD, FLOOR), flash_bytes=29_999, confidence=confidence, weights=weights, near=near
    ),
    st.sampled_from([None, 0.8]),
    st.sampled_from([None, ObjectiveWeights(flash=1.0, ram=0.0, latency=0.0)]),
    st.sampled_from([0.0, 0.01, 0.05, 0.3, 1.0]),
)


def dominates(a: Eligible, b: Eligible) -> bool:
    """True if `a` has at least the bound of `b` at no greater sizes and count, and is not equal."""
    pairs = [(-a.bound, -b.bound), *zip(costs(a.trial)[1:], costs(b.trial)[1:], strict=True)]
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)


@relaxed
@given(_trials, _goals)
def test_what_is_chosen_keeps_floor_and_limits_and_is_near_the_least_cost(
    trials: list[Trial], goal: Goal
) -> None:
    found = goal.candidates(trials, None)
    chosen = choose_eligible(found, goal.near)
    assert (chosen is None) == all(goal.violation(trial) > 0 for trial in trials)
    if chosen is None:
        return
    assert goal.best(trials, None) == chosen.trial
    assert goal.violation(chosen.trial) == 0.0
    assert (chosen.trial.accuracy or 0.0) >= FLOOR
    sure = [one for one in found if one.is_sure]
    assert chosen in sure
    assert chosen.cost <= min(one.cost for one in sure) * (1 + goal.near)
    assert not [one for one in sure if dominates(one, chosen)]


@relaxed
@given(_trials, _goals, st.randoms(use_true_random=False))
def test_the_choice_depends_on_no_order(trials: list[Trial], goal: Goal, chance: object) -> None:
    shuffled = list(trials)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert goal.best(trials, None) == goal.best(shuffled, None)


@relaxed
@given(_trials, _goals, st.floats(0, 1), st.floats(0, 1))
def test_a_wider_tolerance_never_lowers_accuracy_or_cost(
    trials: list[Trial], goal: Goal, one: float, other: float
) -> None:
    found = goal.candidates(trials, None)
    narrow, wide = choose_eligible(found, min(one, other)), choose_eligible(found, max(one, other))
    if narrow is None or wide is None:
        assert narrow is wide is None
        return
    assert wide.bound >= narrow.bound
    assert wide.cost >= narrow.cost or wide.bound == narrow.bound


@relaxed
@given(_trials, _goals)
def test_without_tolerance_the_cheapest_is_chosen(trials: list[Trial], goal: Goal) -> None:
    found = goal.candidates(trials, None)
    chosen = choose_eligible(found, 0.0)
    if chosen is not None:
        assert chosen.cost == min(one.cost for one in found if one.is_sure)


@relaxed
@given(_trials, _goals)
def test_neighbors_lie_on_either_side(trials: list[Trial], goal: Goal) -> None:
    found = goal.candidates(trials, None)
    chosen = choose_eligible(found, goal.near)
    if chosen is None:
        return
    sure, beside = [one for one in found if one.is_sure], neighbors(found, chosen)
    cheaper = [one for one in sure if one.cost < chosen.cost]
    better = [one for one in sure if one.bound > chosen.bound]
    assert (beside.cheaper is None) == (not cheaper)
    assert (beside.more_accurate is None) == (not better)
    if beside.cheaper is not None:
        assert beside.cheaper.cost < chosen.cost
        assert beside.cheaper.bound == max(one.bound for one in cheaper)
    if beside.more_accurate is not None:
        assert beside.more_accurate.bound > chosen.bound
        assert beside.more_accurate.cost == min(one.cost for one in better)
