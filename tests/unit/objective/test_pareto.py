"""The front and the score on cases worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from helpers.trials import BASELINE, infeasible, measured, pruned
from hil.objective.pareto import best, costs, front, measurement_of, non_dominated, score


def test_non_dominated_points() -> None:
    points = np.array([[1, 4], [2, 2], [4, 1], [3, 3], [2, 2], [1, 5]], dtype=np.float64)
    assert non_dominated(points).tolist() == [True, True, True, False, True, False]
    assert non_dominated(np.empty((0, 4))).tolist() == []


def test_costs_are_minimized() -> None:
    trial = measured(1, BASELINE, accuracy=0.9, flash=20_000, ram=4_000, count=7)
    assert costs(trial) == (-0.9, 20_000, 4_000, 7)
    with pytest.raises(ValueError, match="trial 3 was not measured"):
        costs(infeasible(3, BASELINE))


def test_front_of_trials() -> None:
    accurate = measured(1, BASELINE, accuracy=0.97, flash=30_000)
    worse = measured(2, pruned(0.9), accuracy=0.96, flash=31_000)
    small = measured(3, pruned(0.5), accuracy=0.95, flash=20_000)
    twin = measured(4, pruned(0.51), accuracy=0.95, flash=20_000)
    rejected = infeasible(5, pruned(0.1))
    assert front([rejected, twin, small, worse, accurate]) == (accurate, small)
    assert front([]) == ()


@pytest.mark.parametrize("change", [{"ram": 7_000}, {"count": 999_999}, {"accuracy": 0.951}])
def test_any_objective_may_earn_a_place(change: dict[str, float]) -> None:
    assert len(front([measured(1, BASELINE), measured(2, pruned(0.5), flash=40_000)])) == 1
    trials = [measured(1, BASELINE), measured(2, pruned(0.5), flash=40_000, **change)]
    assert front(trials) == tuple(trials)


def test_counts_of_different_kinds_never_compare() -> None:
    silicon = measured(2, pruned(0.5))
    assert silicon.measurement is not None
    silicon = replace(silicon, measurement=replace(silicon.measurement, counter="dwt"))
    with pytest.raises(ValueError, match="dwt, insn"):
        front([measured(1, BASELINE), silicon])


def test_score_is_the_geometric_mean_of_the_ratios() -> None:
    baseline = measurement_of(measured(1, BASELINE, flash=40_000, ram=8_000, count=1_000))
    small = measurement_of(measured(2, pruned(0.5), flash=20_000, ram=2_000, count=1_000))
    assert score(small, baseline) == pytest.approx((0.5 * 0.25 * 1.0) ** (1 / 3))
    assert score(baseline, baseline) == pytest.approx(1)


def test_best_meets_the_target() -> None:
    trials = [
        measured(1, BASELINE, accuracy=0.97, flash=30_000),
        measured(2, pruned(0.5), accuracy=0.95, flash=20_000),
        measured(3, pruned(0.2), accuracy=0.80, flash=12_000),
        infeasible(4, pruned(0.1)),
    ]
    assert best(trials, 0.95) is trials[1]
    assert best(trials, 0.5) is trials[2]
    assert best(trials, 0.99) is None
