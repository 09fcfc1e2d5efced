"""The elastic engine on a synthetic network: no training, no board, costs that are sums."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from compress.genome import Distill, Elastic, Genome, Pick, Prune, Quantize
from compress.space.recipes import baseline
from helpers.elastic_world import GOAL, LATTICE, SPACE, answer, search, widths
from hil.elastic.engine import ShapesFirst
from hil.elastic.lattice import Shape
from hil.elastic.shape_search import ALLOWANCE
from hil.objective.goal import Goal, ObjectiveWeights
from hil.search.engine import Proposal
from hil.store.store import RunIdentity, Store
from hil.types import Trial

BATCHES = 14  # one to start, four of looks, one of building, and of fine-tuning


def engine(seed: int = 0, goal: Goal = GOAL) -> ShapesFirst:
    return ShapesFirst(LATTICE, SPACE, goal, seed, second_after=3)


def tuned(trials: list[Trial]) -> list[Trial]:
    """Those that go on from a pick with training."""
    picked = [t for t in trials if any(isinstance(s, Pick) for s in t.genome.stages)]
    return [t for t in picked if any(isinstance(s, Distill) for s in t.genome.stages)]


@pytest.fixture(scope="module")
def trials() -> list[Trial]:
    return search(engine(), BATCHES)


def test_it_begins_with_the_baseline_one_elastic_network_and_networks_to_profile() -> None:
    batch = engine().ask()
    assert batch[0] == Proposal(baseline(), profile=True)
    elastic = [p for p in batch if any(isinstance(s, Elastic) for s in p.genome.stages)]
    assert len(elastic) == 1
    profiled = [p for p in batch if p.profile and isinstance(p.genome.stages[0], Prune)]
    assert len(profiled) >= 6
    assert all(p.epochs == 0 for p in profiled)
    assert len({widths(p.genome) for p in profiled}) == len(profiled)


def test_many_are_looked_at_few_built_and_fewer_trained(trials: list[Trial]) -> None:
    first = [t for t in trials if isinstance(t.genome.stages[0], Elastic)]
    looked = [t for t in first if t.fidelity == 0.0]
    built = [t for t in trials if t.fidelity == 1.0 and len(t.genome.stages) == 3]
    assert LATTICE.size == 4 * 7 * 7
    assert len({t.genome for t in looked}) == len(looked) == LATTICE.size
    # A quarter of the lattice, and the second elastic network's.
    assert LATTICE.size // 4 <= len(built) < LATTICE.size // 2
    assert 0 < len(tuned(trials)) < len(looked)


def test_it_finds_nearly_the_cheapest_network_of_the_world(trials: list[Trial]) -> None:
    """Of all shapes that are worth looking at, after the longest training in int8."""
    options = [LATTICE.options(group) for group in range(3)]
    counts = []
    for shape in map(Shape, product(*options)):
        stages = (Elastic(), LATTICE.pick(shape), Quantize(), Distill(epochs=8 * SPACE.epochs[1]))
        looked = answer(1, Proposal(Genome(stages[:3]), 0.0))
        tuned_one = answer(1, Proposal(Genome(stages)))
        assert looked.accuracy is not None
        assert tuned_one.measurement is not None
        if looked.accuracy >= GOAL.accuracy - ALLOWANCE and GOAL.violation(tuned_one) == 0.0:
            counts.append(tuned_one.measurement.count)
    good = [t.measurement.count for t in trials if t.measurement and GOAL.violation(t) == 0.0]
    assert min(good) <= 1.15 * min(counts)
    built = [t for t in trials if len(t.genome.stages) <= 3 and GOAL.violation(t) == 0.0]
    assert min(good) < min(t.measurement.count for t in built if t.measurement)


def test_fine_tuning_goes_on_from_the_rung_before(trials: list[Trial]) -> None:
    """Of 2, 4 and 8 lengths of training, each continues the one before: a prefix of its stages."""
    by_epochs: dict[float, list[Trial]] = {}
    for trial in tuned(trials):
        spent = sum(s.epochs for s in trial.genome.stages if isinstance(s, Distill))
        by_epochs.setdefault(spent / SPACE.epochs[1], []).append(trial)
    assert set(by_epochs) == {2, 4, 8}
    assert len(by_epochs[2]) > len(by_epochs[4]) > len(by_epochs[8]) > 0
    for rung, shorter in ((4, 2), (8, 4)):
        before = {t.genome.stages for t in by_epochs[shorter]}
        for trial in by_epochs[rung]:
            taught = [i for i, s in enumerate(trial.genome.stages) if isinstance(s, Distill)]
            without = (
                *trial.genome.stages[: taught[-1]],
                *trial.genome.stages[taught[-1] + 1 :],
            )
            assert without in before


def test_a_shape_is_trained_with_two_tails_while_others_wait(trials: list[Trial]) -> None:
    tails: dict[tuple[int, ...], set[object]] = {}
    for trial in tuned(trials):
        first = [s for s in trial.genome.stages if not isinstance(s, Elastic | Pick)]
        taught = [s for s in first if isinstance(s, Distill)]
        rest = tuple(s for s in first if not isinstance(s, Distill))
        tails.setdefault(widths(trial.genome), set()).add((rest, taught[0]))
    assert max(len(found) for found in tails.values()) <= 2
    assert len(tails) > 10


def test_quantize_stands_before_and_after_elastic_pick_and_distill(trials: list[Trial]) -> None:
    orders = {t.genome.order.replace("DDD", "D").replace("DD", "D") for t in tuned(trials)}
    assert {"EQD", "EDQ"} <= orders
    assert any(order.startswith("QE") for order in orders)


def test_a_finalist_is_trained_with_three_seeds() -> None:
    sure = replace(GOAL, confidence=0.8)
    found = search(engine(goal=sure), 12)
    repeats: dict[str, set[int]] = {}
    for trial in found:
        if trial.fidelity == 1.0:
            repeats.setdefault(trial.genome.key, set()).add(trial.repeat)
    assert {0, 1, 2} in repeats.values()


def test_it_says_how_well_the_table_predicted_what_was_built_afterwards() -> None:
    one, lines = engine(), list[str]()
    number = 0
    for _ in range(8):
        batch = one.ask()
        one.tell([answer(number + i, proposal) for i, proposal in enumerate(batch)])
        number += len(batch)
        lines += one.news()
    (error,) = [line for line in lines if "fit error" in line]
    assert "count 0.0 % rms, 0.0 % max" in error
    assert any("196 sub-networks looked at" in line for line in lines)


def test_limits_are_kept_by_what_is_built() -> None:
    """Networks above the limit are looked at, but neither built nor trained."""
    goal = replace(GOAL, flash_bytes=14_000)
    found = search(engine(goal=goal), 10)
    flash = [t.measurement.flash.total for t in tuned(found) if t.measurement]
    assert flash
    assert max(flash) <= 14_000 * 1.02


def test_weights_lead_to_what_they_weigh() -> None:
    """By flash alone 4 bits win, by latency alone the fewest instructions."""
    small = replace(GOAL, weights=ObjectiveWeights(flash=1, ram=0, latency=0))
    fast = replace(GOAL, weights=ObjectiveWeights(flash=0, ram=0, latency=1))
    best = []
    for goal in (small, fast):
        found = search(engine(goal=goal), 10)
        chosen = goal.best(found, next(t for t in found if t.genome == baseline()))
        assert chosen is not None
        assert chosen.measurement is not None
        best.append(chosen.measurement)
    assert best[0].flash.total < best[1].flash.total
    assert best[1].count <= best[0].count


def test_the_same_seed_gives_the_same_search(trials: list[Trial]) -> None:
    random.seed(7)  # the global generator is no part of it
    again = search(engine(), BATCHES)
    assert [(t.genome, t.fidelity, t.repeat) for t in again] == [
        (t.genome, t.fidelity, t.repeat) for t in trials
    ]
    other = search(engine(seed=1), 3)
    assert [t.genome for t in other] != [t.genome for t in trials[: len(other)]]


@pytest.mark.parametrize("killed_after", [5, 230])
def test_a_killed_search_goes_on_as_if_it_had_not_been(
    trials: list[Trial], killed_after: int, tmp_path: Path
) -> None:
    """Replayed over a store that has the trials up to some moment, it asks for the same ones."""
    with Store.open(tmp_path, RunIdentity("world", "m4", 0, "5e")) as store:
        for trial in trials[:killed_after]:
            store.add(trial)
        one, told = engine(), list[Trial]()
        for _ in range(BATCHES):
            batch = one.ask()
            found = [
                store.find(p.genome, p.fidelity, p.repeat) or answer(len(told) + i + 1, p)
                for i, p in enumerate(batch)
            ]
            one.tell(found)
            told += found
    assert [(t.genome, t.repeat) for t in told] == [(t.genome, t.repeat) for t in trials]


def test_a_batch_that_was_cut_off_is_no_error() -> None:
    for told in (3, 80, 245):
        assert len(search(engine(), 8, told)) == told


def test_without_networks_that_could_be_profiled_it_ends_and_says_why() -> None:
    one = engine()
    batch = one.ask()
    one.tell([answer(i, replace(p, profile=False)) for i, p in enumerate(batch)])
    assert one.ask() == []
    assert "--engine adaptive" in one.news()[0]
