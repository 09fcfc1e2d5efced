"""The smallest costs of synthetic arms, compared with values computed by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helpers.studies import BOARD, int8, network, study, trace
from helpers.trials import infeasible
from hil.board import without_waits
from hil.store.store import Final
from hil.study.choices import (
    Aim,
    Choice,
    aims,
    choices,
    drop_on_test,
    references,
)
from hil.study.confirmed import chosen_numbers
from hil.study.result import StudyResult
from hil.types import PowerFigure, Trial

BASE = int8(1, accuracy=0.897)
# The float network has 90 %: these are 0.4, 1.0 and 2.5 points below.
NEAR = network(2, 0.896, weights=0.8, ram=0.7, count=0.9)
EDGE = network(3, 0.890, weights=0.5, ram=0.9, count=0.4)
FAR = network(4, 0.875, weights=0.1, ram=0.1, count=0.1)


def chosen(result: StudyResult, arm: str, floor: float, aim: Aim, seed: int = 0) -> Choice:
    (found,) = [
        choice
        for choice in choices(result)
        if (choice.arm, choice.seed, choice.floor_points, choice.aim) == (arm, seed, floor, aim)
    ]
    return found


def test_the_smallest_network_above_the_floor_is_chosen() -> None:
    result = study(trace("int8", BASE, kind="single"), trace("adaptive", NEAR, EDGE, FAR))
    assert chosen(result, "adaptive", 0.5, "model flash").trial == NEAR
    flash = chosen(result, "adaptive", 1.0, "model flash")
    assert (flash.trial, flash.value, flash.ratio) == (EDGE, 10_000, 0.5)
    image = chosen(result, "adaptive", 1.0, "image flash")
    assert (image.value, image.ratio) == (20_000, pytest.approx(20 / 30))
    ram = chosen(result, "adaptive", 2.0, "RAM")
    assert (ram.trial, ram.value, ram.ratio) == (NEAR, 7_000, pytest.approx(0.7))
    assert chosen(result, "adaptive", 1.0, "count").value == 400_000
    whole = chosen(result, "adaptive", 1.0, "weighted")
    assert (whole.trial, whole.ratio) == (EDGE, pytest.approx((0.5 + 0.9 + 0.4) / 3))


def test_a_floor_is_reached_exactly_in_spite_of_rounding() -> None:
    for correct in range(700, 1000):
        base, edge = correct / 1000, (correct - 10) / 1000
        result = study(
            trace("int8", int8(1, base), kind="single"),
            trace("adaptive", network(2, edge, weights=0.5)),
            originals={0: {"val": base, "test": base}},
        )
        assert chosen(result, "adaptive", 1.0, "model flash").trial is not None
        assert chosen(result, "adaptive", 0.5, "model flash").trial is None


def test_int8_takes_the_place_of_a_missing_choice() -> None:
    result = study(trace("int8", BASE, kind="single"), trace("adaptive", FAR))
    none = chosen(result, "adaptive", 1.0, "RAM")
    assert (none.trial, none.value, none.ratio) == (None, 10_000, 1.0)


def test_screened_and_violating_trials_are_not_chosen() -> None:
    tiny = network(5, 0.9, weights=0.1, ram=0.1, count=0.1)
    result = study(
        trace("int8", BASE, kind="single"),
        trace(
            "adaptive",
            replace(tiny, state="infeasible", violation=0.1),
            replace(tiny, number=6, state="screened", fidelity=0.3, measurement=None),
            infeasible(7, tiny.genome),
            NEAR,
        ),
    )
    assert chosen(result, "adaptive", 0.5, "RAM").trial == NEAR


def test_each_seed_has_its_own_int8_network() -> None:
    other = network(1, 0.9, weights=2.0, genome=BASE.genome)
    result = study(
        trace("int8", BASE, kind="single"),
        trace("int8", other, seed=5, kind="single"),
        trace("adaptive", EDGE, seed=5),
        trace("adaptive", EDGE, seed=6),
    )
    assert references(result) == {0: BASE, 5: other}
    assert chosen(result, "adaptive", 1.0, "model flash", seed=5).ratio == 0.25
    assert not [choice for choice in choices(result) if choice.seed == 6]


def test_energy_is_left_out_where_no_power_or_no_cycles_are_known() -> None:
    powerless = replace(BOARD, energy=None)
    result = study(trace("int8", BASE, kind="single"), trace("adaptive", EDGE), board=powerless)
    assert "energy" not in aims(result)
    power = PowerFigure(active_mw=50.0, idle_mw=None, supply_v=3.3, clock_hz=10**8, source="us")
    powered = replace(without_waits(BOARD), energy=power)
    assert "energy" not in aims(replace(result, board=powered))

    def with_cycles(trial: Trial, cycles: int) -> Trial:
        assert trial.measurement is not None
        return replace(trial, measurement=replace(trial.measurement, model_cycles=cycles))

    known = study(
        trace("int8", with_cycles(BASE, 2_000_000), kind="single"),
        trace("adaptive", with_cycles(EDGE, 600_000)),
        board=powered,
    )
    energy = chosen(known, "adaptive", 1.0, "energy")
    assert energy.ratio == pytest.approx(0.3)
    assert energy.value == pytest.approx(300.0)  # 50 mW for 6 ms
    whole = chosen(known, "adaptive", 1.0, "weighted")
    assert whole.ratio == pytest.approx((0.5 + 0.9 + 0.4 + 0.3) / 4)


def test_chosen_numbers_are_those_whose_test_figures_are_shown() -> None:
    result = study(trace("int8", BASE, kind="single"), trace("adaptive", NEAR, EDGE, FAR))
    assert chosen_numbers(result) == {0: {1, 2, 3}}
    assert drop_on_test(result, 0, EDGE) is None
    tested = replace(result, finals={0: {3: Final(3, "test", 170, 200, 0.885)}})
    assert drop_on_test(tested, 0, EDGE) == pytest.approx(1.5)
