"""Laws of the front that hold for any trials, and DEAP's non-dominated sort as a second opinion."""

from __future__ import annotations

import numpy as np
from deap import base, tools
from hypothesis import given
from hypothesis import strategies as st

from helpers.trials import BASELINE, infeasible, measured
from hil.objective.pareto import best, costs, front, non_dominated, score
from hil.types import Trial

# few values, so that ties and equal points are common
_trials = st.lists(
    st.tuples(
        st.sampled_from([0.5, 0.9, 0.95]),
        st.integers(20_000, 20_003),
        st.integers(5_000, 5_003),
        st.integers(1, 4),
    ),
    max_size=25,
).map(
    lambda rows: [
        measured(number, BASELINE, accuracy=accuracy, flash=flash, ram=ram, count=count)
        for number, (accuracy, flash, ram, count) in enumerate(rows, start=1)
    ]
)


def dominates(a: Trial, b: Trial) -> bool:
    pairs = list(zip(costs(a), costs(b), strict=True))
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)


class _Fitness(base.Fitness):  # type: ignore[misc]
    weights = (-1.0, -1.0, -1.0)


class _Point:
    def __init__(self, values: tuple[float, ...]) -> None:
        self.fitness = _Fitness(values)


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=30))
def test_agrees_with_deap(rows: list[tuple[int, int, int]]) -> None:
    points = [_Point(row) for row in rows]
    first = tools.sortNondominated(points, len(points), first_front_only=True)[0]
    ours = non_dominated(np.array(rows, dtype=np.float64))
    assert {id(p) for p in first} == {id(p) for p, ok in zip(points, ours, strict=True) if ok}


@given(_trials)
def test_front_is_undominated_and_complete(trials: list[Trial]) -> None:
    kept = front(trials)
    assert not any(dominates(a, b) for a in kept for b in kept)
    assert len({costs(trial) for trial in kept}) == len(kept)
    for trial in trials:
        assert trial in kept or any(
            dominates(member, trial)
            or (costs(member) == costs(trial) and member.number < trial.number)
            for member in kept
        )


@given(_trials, st.randoms())
def test_front_does_not_depend_on_order(trials: list[Trial], chance: object) -> None:
    shuffled = trials.copy()
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert front(shuffled) == front(trials)


@given(_trials)
def test_front_of_the_front_is_itself_and_ignores_infeasible(trials: list[Trial]) -> None:
    kept = front(trials)
    assert front([*kept, infeasible(1000, BASELINE)]) == kept


@given(_trials, st.sampled_from([0.0, 0.9, 0.95, 1.0]))
def test_best_of_the_front_is_best_of_all(trials: list[Trial], target: float) -> None:
    chosen = best(trials, target)
    assert best(front(trials), target) == chosen
    if chosen is None:
        assert all((trial.accuracy or 0) < target for trial in trials)
        return
    assert chosen.accuracy is not None
    assert chosen.accuracy >= target
    for trial in trials:
        if trial.accuracy is not None and trial.accuracy >= target:
            assert chosen.measurement is not None
            assert trial.measurement is not None
            assert score(trial.measurement, chosen.measurement) >= 1 - 1e-12
