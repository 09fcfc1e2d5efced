"""The adaptive engine on a synthetic problem: no training, no board, known results."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest

from compress.genome import Genome, Prune, Quantize
from compress.space.recipes import baseline
from helpers.search_world import GOAL, SPACE, world
from helpers.trials import infeasible
from hil.objective.goal import ObjectiveWeights
from hil.search.acquisition import (
    HypervolumeMerit,
    WeightedMeanMerit,
    choose_candidates,
    expected_improvement,
)
from hil.search.adaptive import LadderSearch
from hil.search.engine import Proposal
from hil.search.gate import Gate
from hil.search.ladder import Ladder
from hil.search.surrogate import Surrogate, features
from hil.types import Estimate, Trial

SMALL = Ladder((0.0, 1.0), (24, 6))


def answer(number: int, proposal: Proposal) -> Trial:
    """A trial whose screened accuracy is 0.1 too low, its estimate a constant below the costs."""
    trial = world(number, proposal.genome)
    m = trial.measurement
    assert m is not None
    known = Estimate(m.count, 64 * m.count, m.flash.total - 12_000, m.ram.total - 2_000, 9)
    trial = replace(trial, estimate=known, fidelity=proposal.fidelity)
    if proposal.fidelity == 1.0:
        return trial
    cheap = (trial.accuracy or 0.0) - 0.1
    return replace(trial, state="screened", measurement=None, accuracy=cheap)


def search(engine: LadderSearch, batches: int) -> list[Trial]:
    trials: list[Trial] = []
    for _ in range(batches):
        told = [answer(len(trials) + i + 1, one) for i, one in enumerate(engine.ask())]
        engine.tell(told)
        trials += told
    return trials


def test_it_screens_many_and_trains_few() -> None:
    trials = search(LadderSearch(SPACE, GOAL, 0, ladder=SMALL), 6)
    fidelities = [trial.fidelity for trial in trials]
    assert fidelities == ([0.0] * 24 + [1.0] * 6) * 3
    screened = {t.genome for t in trials if t.fidelity == 0.0}
    assert {t.genome for t in trials if t.fidelity == 1.0} <= screened


def test_the_baseline_and_the_warm_start_are_trained_first() -> None:
    warm = [baseline(), Genome((Prune((0.5,), scope="uniform"), Quantize((4,))))]
    trials = search(LadderSearch(SPACE, GOAL, 0, warm, SMALL), 2)
    assert [t.genome for t in trials if t.fidelity == 1.0][:2] == warm


def test_it_finds_small_networks_in_few_trials() -> None:
    trials = search(LadderSearch(SPACE, GOAL, 1, ladder=SMALL), 12)
    full = [t for t in trials if t.fidelity == 1.0]
    assert len(full) == 36
    counts = [t.measurement.count for t in full if t.measurement and GOAL.violation(t) == 0]
    # 0.5 of the channels is the floor's edge: a quarter of the count, 0.43 squared at the least.
    assert min(counts) < 0.30e6


def test_nothing_is_asked_for_twice() -> None:
    trials = search(LadderSearch(SPACE, GOAL, 3, ladder=SMALL), 12)
    asked = [(t.genome.key, t.fidelity) for t in trials]
    assert len(set(asked)) == len(asked)


def test_a_search_told_the_same_asks_the_same() -> None:
    first, second = (search(LadderSearch(SPACE, GOAL, 5, ladder=SMALL), 8) for _ in range(2))
    random.seed(1)  # the global generator is no part of it
    assert [t.genome for t in first] == [t.genome for t in second]
    other = search(LadderSearch(SPACE, GOAL, 6, ladder=SMALL), 8)
    assert [t.genome for t in first] != [t.genome for t in other]


def test_it_goes_on_while_every_candidate_is_infeasible() -> None:
    """An empty batch would end the search."""
    engine = LadderSearch(SPACE, GOAL, 0, ladder=SMALL)
    for _ in range(4):
        batch = engine.ask()
        assert [one.fidelity for one in batch] == [0.0] * 24
        engine.tell([infeasible(i, p.genome, fidelity=0.0) for i, p in enumerate(batch)])


def test_it_ends_where_analysis_proves_that_nothing_fits() -> None:
    """Screening costs no trial of the budget: it would go on for as long as there is time."""
    goal = replace(GOAL, flash_bytes=1)
    engine, number = LadderSearch(SPACE, goal, 0, [baseline()], SMALL), 0
    while batch := engine.ask():
        engine.tell([answer(number + i, one) for i, one in enumerate(batch)])
        number += len(batch)
        assert number < 1_000
    assert number > 240


def test_if_the_gate_rejects_all_candidates_those_nearest_to_the_limits_are_tried() -> None:
    """The limit is one that no network keeps, but that the lower bounds do not prove."""
    goal = replace(GOAL, flash_bytes=20_000)
    trials = search(LadderSearch(SPACE, goal, 0, ladder=SMALL), 12)
    full = [t for t in trials if t.fidelity == 1.0]
    assert len(full) == 36
    assert all(goal.violation(t) > 0 for t in full)

    def flash(some: list[Trial]) -> float:
        return fmean(t.measurement.flash.total for t in some if t.measurement)

    assert flash(full[6:]) < flash(full[:6]) - 2_000


def test_some_candidates_that_the_gate_rejects_are_tried_at_random() -> None:
    goal = replace(GOAL, flash_bytes=36_000)
    engine = LadderSearch(SPACE, goal, 0, ladder=Ladder((0.0, 1.0), (24, 10)))
    rejected = 0
    told: list[Trial] = []
    for _ in range(12):
        batch = engine.ask()
        gate = Gate.calibrated(goal, told)
        estimates = {t.genome: t.estimate for t in told}
        for one in batch:
            if one.fidelity == 1.0 and (known := estimates[one.genome]):
                rejected += bool(gate.rejects(known, one.genome))
        trials = [answer(len(told) + i, one) for i, one in enumerate(batch)]
        engine.tell(trials)
        told += trials
    full = sum(t.fidelity == 1.0 for t in told)
    assert 0 < rejected < full / 2


@pytest.mark.parametrize("cut", [0, 1, 3])
def test_proposals_that_were_cut_off_are_not_asked_for_again(cut: int) -> None:
    def run() -> list[Trial]:
        engine, trials = LadderSearch(SPACE, GOAL, 2, ladder=SMALL), list[Trial]()
        for batch in range(8):
            asked = engine.ask()
            tried = asked[: len(asked) // 2] if batch == cut else asked
            told = [answer(len(trials) + i + 1, one) for i, one in enumerate(tried)]
            engine.tell(told)
            trials += told
        return trials

    trials = run()
    assert [t.genome for t in trials] == [t.genome for t in run()]
    asked = [(t.genome.key, t.fidelity) for t in trials]
    assert len(set(asked)) == len(asked)
    assert sum(t.fidelity == 1.0 for t in trials) > 15


def test_a_short_rung_takes_the_best_of_the_rung_below() -> None:
    ladder = Ladder((0.0, 0.25, 1.0), (24, 12, 6))
    trials = search(LadderSearch(SPACE, GOAL, 0, ladder=ladder), 6)
    assert [t.fidelity for t in trials] == ([0.0] * 24 + [0.25] * 12 + [1.0] * 6) * 2
    short = {t.genome for t in trials if t.fidelity == 0.25}
    assert {t.genome for t in trials if t.fidelity == 1.0} <= short


def test_weighted_improvement_is_the_distance_below_the_best_mean() -> None:
    mean = WeightedMeanMerit(
        ObjectiveWeights(accuracy=0.1, flash=1, ram=1, latency=2), error=0.05, most_error=0.1
    )
    first = np.array([0.06, 0.8, 0.8, 0.4])  # a mean of 0.6, and a point lost for 0.1 / 4
    assert mean.improvement(first) == pytest.approx(1.1 - 0.625)
    better = mean.with_point(first)
    assert better.best == pytest.approx(0.625)
    assert better.improvement(np.array([0.05, 0.8, 0.8, 0.4])) == pytest.approx(0.025)
    assert better.improvement(np.array([0.11, 0.1, 0.1, 0.1])) == 0.0
    assert better.with_point(np.array([0.05, 1.0, 1.0, 1.0])).best == better.best


def test_hypervolume_improvement_is_the_volume_that_only_the_new_point_dominates() -> None:
    volume = HypervolumeMerit(np.array([[0.05, 0.6, 0.6, 0.6]]), most_error=0.1)
    inside = np.array([0.06, 0.7, 0.7, 0.7])
    assert volume.improvement(inside) == pytest.approx(0.0, abs=1e-15)
    assert volume.improvement(np.array([0.11, 0.1, 0.1, 0.1])) == 0.0
    cheaper = np.array([0.05, 0.6, 0.6, 0.35])
    assert volume.improvement(cheaper) == pytest.approx(0.05 * 0.5 * 0.5 * 0.25)
    empty = HypervolumeMerit(np.empty((0, 4)), most_error=0.1)
    assert empty.improvement(cheaper) == pytest.approx(0.05 * 0.5 * 0.5 * 0.75)


def test_the_lazy_greedy_batch_is_the_greedy_batch() -> None:
    rng = np.random.default_rng(0)
    accuracies, spreads = rng.uniform(0.88, 0.99, 15), rng.uniform(0.001, 0.03, 15)
    costs = rng.uniform(0.2, 1.2, (15, 3))
    volume = HypervolumeMerit(np.array([[0.04, 0.7, 0.7, 0.7]]), most_error=0.1)
    greedy: list[int] = []
    current = volume
    for _ in range(6):
        left = [i for i in range(15) if i not in greedy]
        gains = {
            i: expected_improvement(current, accuracies[i], spreads[i], costs[i]) for i in left
        }
        best = max(left, key=lambda i: (gains[i], accuracies[i], -i))
        greedy.append(best)
        current = current.with_point(np.array((1 - accuracies[best], *costs[best])))
    assert choose_candidates(volume, accuracies, spreads, costs, 6) == greedy


def test_the_surrogate_ranks_held_out_networks() -> None:
    trials = search(LadderSearch(SPACE, GOAL, 0, ladder=Ladder((0.0, 1.0), (60, 60))), 2)
    full = [t for t in trials if t.fidelity == 1.0]

    def row(trial: Trial) -> tuple[float, ...]:
        assert trial.estimate is not None
        return features(trial.genome, trial.estimate, ((trial.accuracy or 0.0) - 0.1,))

    fitted, held_out = full[::2], full[1::2]
    surrogate = Surrogate([row(t) for t in fitted], [t.accuracy or 0.0 for t in fitted], 0.9)
    means, spreads = surrogate.predict([row(t) for t in held_out])
    truth = np.array([t.accuracy or 0.0 for t in held_out])
    assert (spreads > 0).all()
    assert means[truth > 0.96].mean() > means[truth < 0.9].mean() + 0.02


def test_the_surrogate_extrapolates_below_the_smallest_network_tried() -> None:
    def row(size: float, epochs: float) -> tuple[float, ...]:
        genome = Genome((Prune((0.5,), scope="uniform", epochs=epochs), Quantize()))
        macs, weights = round(1e6 * size), round(20_000 * size)
        return features(genome, Estimate(macs, 64 * macs, weights, 10_000, 8), ())

    tried = [(size, epochs) for size in (0.4, 0.5, 0.6, 0.8, 1.0) for epochs in (1, 2, 4)]
    accuracies = [0.93 + 0.03 * math.log(size) + 0.005 * epochs for size, epochs in tried]
    surrogate = Surrogate([row(*one) for one in tried], accuracies, 0.9)
    means, _ = surrogate.predict([row(size, 2) for size in (0.1, 0.2, 0.4, 1.0)])
    assert list(means) == sorted(means)
    assert means[0] < min(accuracies) - 0.01
    longer, shorter = surrogate.predict([row(0.2, 4), row(0.2, 1)])[0]
    assert longer > shorter
