"""The engine on a made-up world: no training, no board, the answers known."""

from itertools import pairwise

import pytest

from compress.space.recipes import baseline
from helpers.search_world import GOAL, SPACE, world
from helpers.trials import infeasible, measured
from hil.search.nsga2 import ConstrainedFitness, Nsga2, growth
from hil.types import Trial


def search(seed: int, generations: int) -> tuple[Nsga2, list[Trial]]:
    engine, trials = Nsga2(SPACE, GOAL, seed, population=12), []
    for _ in range(generations):
        told = [world(len(trials) + i, one.genome) for i, one in enumerate(engine.ask())]
        engine.tell(told)
        trials += told
    return engine, trials


def test_the_search_finds_small_networks_that_keep_the_accuracy() -> None:
    _, trials = search(0, 12)
    feasible = [t for t in trials if GOAL.violation(t) == 0]
    smallest = min(t.measurement.count for t in feasible if t.measurement)
    first = trials[0].measurement
    assert first is not None
    # 0.5 of the channels is the floor's edge: a quarter of the count, 0.43 squared at the least.
    assert smallest < 0.30 * first.count


def test_nothing_is_asked_for_twice_and_the_baseline_comes_first() -> None:
    _, trials = search(3, 15)
    assert trials[0].genome == baseline()
    assert len({t.genome.key for t in trials}) == len(trials) == 15 * 12


def test_a_search_told_the_same_asks_the_same() -> None:
    first, second = search(5, 6)[1], search(5, 6)[1]
    assert [t.genome for t in first] == [t.genome for t in second]
    assert [t.genome for t in first] != [t.genome for t in search(6, 6)[1]]


def test_selection_prefers_feasible_trials() -> None:
    engine, _ = search(1, 10)
    violations = [individual.fitness.violation for individual in engine.population]
    assert violations.count(0.0) == len(violations)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (((0.9, 10, 10, 10), 0.0), ((0.9, 10, 10, 11), 0.0)),  # plain dominance
        (((0.5, 99, 99, 99), 0.0), ((0.9, 1, 1, 1), 0.1)),  # feasible before violating
        (((0.5, 99, 99, 99), 0.1), ((0.9, 1, 1, 1), 0.2)),  # the lesser violation
    ],
)
def test_constraint_domination(
    better: tuple[tuple[float, ...], float], worse: tuple[tuple[float, ...], float]
) -> None:
    a, b = ConstrainedFitness(*better), ConstrainedFitness(*worse)
    assert a.dominates(b)
    assert not b.dominates(a)
    assert not a.dominates(a)


def test_violation_adds_relative_excesses() -> None:
    trial = measured(0, baseline(), accuracy=0.81, flash=90_000, ram=25_000, count=1)
    assert GOAL.violation(trial) == pytest.approx(0.85 / 1.85)


def test_an_infeasible_trial_violates_more_than_any_measured_one() -> None:
    huge = measured(0, baseline(), accuracy=0.01, flash=10**9, ram=10**9, count=1)
    assert 0.99 < GOAL.violation(huge) < 1.0 < GOAL.violation(infeasible(1, baseline()))


def test_growth_of_the_front_is_relative_and_never_negative() -> None:
    def front(*counts: int) -> list[Trial]:
        return [
            measured(i, baseline(), accuracy=0.95, flash=30_000, ram=9_000, count=c)
            for i, c in enumerate(counts)
        ]

    assert growth([], front(100)) == 1.0
    assert growth(front(100), front(100)) == 0.0
    assert growth(front(50), front(100)) == 0.0
    steps = [growth(front(a), front(b)) for a, b in pairwise((100, 90, 60, 30))]
    assert all(step > 0.01 for step in steps)
