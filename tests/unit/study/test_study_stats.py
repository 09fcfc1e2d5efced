"""Tests, corrections and hypervolumes of studies against scipy and boxes computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from helpers.studies import BOARD, int8, network, study, trace
from hil.study.choices import Choice
from hil.study.stats import by_seed, holm, p_below, p_below_int8, p_smaller, smallest_p
from hil.study.volume import (
    REPLAYS,
    cumulative_hypervolume,
    curves,
    is_exchangeable,
    point,
    replay_orders,
)


def choice(arm: str, seed: int, ratio: float) -> Choice:
    return Choice(arm, seed, 1.0, "RAM", None, ratio, ratio)


def test_p_is_that_of_scipy_on_log_ratios() -> None:
    mine, theirs = [0.4, 0.5, 0.3, 0.6, 0.46, 0.7], [0.5, 0.45, 0.6, 0.9, 0.5, 0.71]
    made = [choice("a", seed, r) for seed, r in enumerate(mine)]
    made += [choice("b", seed, r) for seed, r in enumerate(theirs)]
    made.append(choice("b", 99, 0.01))  # a seed that only one arm has does not count
    p = p_smaller(by_seed(made, "a", 1.0, "RAM"), by_seed(made, "b", 1.0, "RAM"))
    difference = np.log(mine) - np.log(theirs)
    assert p == wilcoxon(difference, alternative="less", method="exact").pvalue
    assert p_below_int8(by_seed(made, "a", 1.0, "RAM")) == smallest_p(6) == 1 / 64


def test_p_values_computed_by_hand() -> None:
    assert p_below([-1, -2, -3, -4, -5]) == 1 / 32
    # Only the smallest of five is on the wrong side: two of 32 sign patterns are as extreme.
    assert p_below([1, -2, -3, -4, -5]) == 2 / 32
    assert p_below([1, 2, 3, 4, 5]) == 1.0
    assert p_below([0.0] * 5) == 1.0
    assert p_below([0, -2, -3, -4, -5]) == 1 / 16  # a zero says nothing
    # A tie of ranks 1.5 and 1.5: no plus, or either of the two, are as extreme.
    assert p_below([0.1 + 0.2, -0.3, -3, -4, -5]) == 3 / 32


def test_below_five_seeds_there_is_no_p() -> None:
    assert p_below([-1, -2, -3, -4]) is None


def test_holm_by_hand() -> None:
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": None})
    assert adjusted == {"a": pytest.approx(0.03), "b": 0.06, "c": 0.06, "d": None}
    assert holm({"a": 0.5, "b": 0.9}) == {"a": 1.0, "b": 1.0}


def test_a_point_is_scaled_to_the_unit_box() -> None:
    place = point(network(2, 0.89, 0.5, 0.25, 0.4), int8(), 0.90, BOARD)
    assert place == pytest.approx([2 / 3, 0.5 / 1.5, 0.25 / 1.5, 0.4 / 1.5])
    better = point(network(2, 0.95, 0.5, 0.25, 0.4), int8(), 0.90, BOARD)
    assert better == pytest.approx([0.0, 0.5 / 1.5, 0.25 / 1.5, 0.4 / 1.5])
    as_much_ram = point(network(2, 0.90, 0.5, 1.0, 1.0), int8(), 0.90, BOARD)
    assert cumulative_hypervolume(as_much_ram[np.newaxis])[-1] > 0
    for outside in (network(2, 0.87, 0.5, 0.5, 0.5), network(2, 0.90, 0.5, 1.6, 0.5)):
        assert point(outside, int8(), 0.90, BOARD).tolist() == [1.0] * 4


def test_volumes_of_boxes_by_hand() -> None:
    half = [0.5] * 4
    points = np.array([[1.0] * 4, half, half, [0.75] * 4, [0.25, 0.75, 0.5, 0.5]])
    # The last box, 0.75 * 0.25 * 0.25, overlaps the first in 0.5 * 0.25 * 0.25.
    grown = 1 / 16 + 0.25 * 0.25 * 0.25
    assert cumulative_hypervolume(points) == pytest.approx([0, 0, 1 / 16, 1 / 16, 1 / 16, grown])


@given(st.lists(st.lists(st.floats(0, 1.2), min_size=4, max_size=4), max_size=8))
@example([[0.0, 0.0, 3.5e-303, 0.1827464771563244], [0.0, 0.75, 0.3125, 0.0], [0.0, 0.0, 0.0, 0.5]])
@settings(deadline=None, max_examples=50)
def test_volume_is_the_share_of_dominated_places(points: list[list[float]]) -> None:
    places = np.array(points).reshape(-1, 4)
    volumes = cumulative_hypervolume(places)
    assert (np.diff(volumes) >= 0).all()
    inside = places[(places < 1).all(axis=1)]
    sample = np.random.default_rng(0).random((4_000, 4))
    hit = np.array([(inside <= at).all(axis=1).any() for at in sample])
    assert volumes[-1] == pytest.approx(hit.mean(), abs=0.04)


def test_curves_count_measurements_and_epochs() -> None:
    small = network(3, 0.905, 0.5, 0.5, 0.5, epochs=4.0)
    box = (1 - 0.5 / 3) * (2 / 3) ** 3
    result = study(
        trace("int8", int8(), kind="single"),
        trace("adaptive", network(2, 0.80, epochs=6.0), small, network(4, 0.5, epochs=10.0)),
        measurements=5,
    )
    found = curves(result)["adaptive"]
    assert not found.replayed
    assert found.by_count[0] == pytest.approx(np.array([[0, 0, box, box]]))
    assert found.at_count(1) == {0: 0.0}
    assert found.at_count(5) == pytest.approx({0: box})
    # The grid has 101 places over 20 epochs: the box is there from the tenth epoch on.
    assert found.by_epochs[0][0, :50].tolist() == [0.0] * 50
    assert found.by_epochs[0][0, 50:] == pytest.approx(box)


def test_a_budget_that_nobody_used_up_takes_no_memory() -> None:
    """A huge number of measurements stands for no limit."""
    drawn = [network(2 + i, 0.9, 0.5) for i in range(3)]
    result = study(trace("random", int8(), *drawn), measurements=10**12)
    found = curves(result)["random"]
    assert found.by_count[0].shape == (REPLAYS, 5)
    assert found.at_count(10**12) == pytest.approx(found.at_count(4))


def test_independent_draws_are_replayed_in_random_orders_after_the_int8_network() -> None:
    base = int8(accuracy=0.87)  # beyond the frame: it adds nothing to what is drawn
    drawn = [network(2 + i, 0.9, 0.9 - 0.1 * i, 0.5, 0.5) for i in range(6)]
    traces = trace("int8", base, kind="single"), trace("random", base, *drawn)
    found = curves(study(*traces, measurements=7), replays=200)["random"]
    rows = found.by_count[0]
    assert rows.shape == (200, 8)
    assert found.replayed
    assert np.ptp(rows[:, 7]) == pytest.approx(0.0)
    # After one draw the mean is near that of the six single boxes, and every one of them occurs.
    single = [(2 / 3) * (1 - (0.9 - 0.1 * i) / 1.5) * (2 / 3) ** 2 for i in range(6)]
    assert set(np.round(rows[:, 2], 6)) == set(np.round(single, 6))
    deviation = np.std(single) / math.sqrt(200)
    assert rows[:, 2].mean() == pytest.approx(np.mean(single), abs=4 * deviation)


def test_the_int8_network_stays_first_in_replays_of_random_search() -> None:
    drawn = [network(2 + i, 0.9) for i in range(5)]
    replayed = replay_orders(trace("random", int8(), *drawn))
    assert {order[0] for order in replayed} == {0}
    assert {order[1] for order in replayed} == set(range(1, 6))
    # A sweep tries its settings in an order that the seed draws, the int8 network among them.
    swept = replay_orders(trace("int8", int8(), *drawn, kind="single"))
    assert {order[0] for order in swept} == set(range(6))
    assert all(sorted(order) == list(range(6)) for order in (*replayed, *swept))


def test_arms_that_learn_or_screen_are_never_reordered() -> None:
    trials = (int8(), network(2, 0.9))
    screened = network(3, 0.9, fidelity=0.3)
    assert is_exchangeable(trace("random", *trials))
    assert is_exchangeable(trace("P-Q-D", *trials, kind="recipe"))
    assert not is_exchangeable(trace("tpe", *trials))
    assert not is_exchangeable(trace("random", *trials, screened))
    assert [order.tolist() for order in replay_orders(trace("tpe", *trials))] == [[0, 1]]
