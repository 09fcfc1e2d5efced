"""Limits and objective weights: which a board supports, violations, and the best trial."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compress.errors import UserError
from helpers.trials import BASELINE, measured, pruned, with_cycles
from hil.board import load_board
from hil.figures import HalfFigures
from hil.objective.costs import costs_of, knows_cycles
from hil.objective.goal import Goal, ObjectiveWeights, make_goal
from hil.options.goal_options import goal_of
from hil.types import Board, Trial

M4, M55 = load_board("m4"), load_board("m55")


BASE = with_cycles(measured(1, BASELINE, accuracy=0.97, flash=40_000, ram=8_000), 2_000_000, M4)
SMALL = with_cycles(measured(2, pruned(0.5), accuracy=0.96, flash=20_000, ram=4_000), 1_500_000, M4)
QUICK = with_cycles(measured(3, pruned(0.4), accuracy=0.95, flash=30_000, ram=6_000), 500_000, M4)


def test_a_limit_left_out_is_the_boards() -> None:
    assert make_goal(M4, 0.9) == Goal.of(M4, 0.9)
    goal = make_goal(M4, 0.9, 65_536, 20_480, 50.0, 1000.0)
    assert (goal.flash_bytes, goal.ram_bytes) == (65_536, 20_480)
    assert (goal.latency_ms, goal.energy_uj) == (50.0, 1000.0)


def test_more_memory_than_the_board_has_is_refused() -> None:
    with pytest.raises(UserError, match=r"524289 bytes of flash: board m4 allows 524288.*smaller"):
        make_goal(M4, 0.9, max_flash=524_289)
    with pytest.raises(UserError, match="bytes of RAM"):
        make_goal(M4, 0.9, max_ram=131_073)


def test_time_needs_cycles_and_energy_a_figure() -> None:
    assert not knows_cycles(M55)
    with pytest.raises(UserError, match="board m55 counts instructions"):
        make_goal(M55, 0.9, max_latency=50.0)
    for board in (M55, load_board("m7"), replace(M55, energy=M4.energy)):
        with pytest.raises(UserError, match=f"no power figure is known for board {board.name}"):
            make_goal(board, 0.9, max_energy=50.0)
        with pytest.raises(UserError, match="weigh latency instead"):
            make_goal(board, 0.9, weights=ObjectiveWeights(energy=1.0))
        assert make_goal(board, 0.9, weights=ObjectiveWeights()).weights == ObjectiveWeights()


@pytest.mark.parametrize(
    ("limits", "excess"),
    [
        ({"max_flash": 32_000}, 40_000 / 32_000 - 1),
        ({"max_ram": 6_400}, 0.25),
        ({"max_latency": 50 / 9}, 1.0),  # 2 Mcycles at 180 MHz are 11.1 ms
        ({"max_energy": 905.5556}, 1.0),  # at 180 MHz 11.1 ms, at 163 mW 1.811 mJ
        ({"max_flash": 32_000, "max_ram": 6_400}, 0.5),
        ({"max_flash": 40_000, "max_ram": 8_000, "max_latency": 11.2}, 0.0),
    ],
)
def test_a_violation_grows_with_the_sum_of_the_excesses(
    limits: dict[str, float], excess: float
) -> None:
    goal = make_goal(M4, 0.9, **limits)  # type: ignore[arg-type]
    assert goal.violation(BASE) == pytest.approx(excess / (1 + excess), abs=1e-6)


def test_best_keeps_every_limit() -> None:
    trials = (BASE, SMALL, QUICK)
    assert make_goal(M4, 0.9).best(trials, BASE) == SMALL  # counts are equal, bytes are not
    assert make_goal(M4, 0.9, max_flash=25_000).best(trials, BASE) == SMALL
    assert make_goal(M4, 0.9, max_latency=5.0).best(trials, BASE) == QUICK
    assert make_goal(M4, 0.955, max_latency=5.0).best(trials, BASE) is None


def test_the_best_trial_depends_on_the_weights() -> None:
    trials = (BASE, SMALL, QUICK)
    flash, latency = ObjectiveWeights(0, 1, 0, 0, 0), ObjectiveWeights(0, 0, 0, 1, 0)
    assert make_goal(M4, 0.9, weights=flash).best(trials, BASE) == SMALL
    assert make_goal(M4, 0.9, weights=latency).best(trials, BASE) == QUICK
    assert make_goal(M4, 0.9, weights=ObjectiveWeights(1, 0, 0, 0, 0)).best(trials, BASE) == BASE
    assert make_goal(M4, 0.9, max_flash=30_000, weights=flash).best(trials[::2], BASE) == QUICK


def test_the_weighted_mean_by_hand() -> None:
    goal = make_goal(M4, 0.9, weights=ObjectiveWeights(0.1, 1.0, 0.5, 2.0, 0.5))
    # flash 1/2, RAM 1/2, cycles 3/4 (weighed 2.5 in all), one point lost
    assert goal.weighted_mean(SMALL, BASE) == pytest.approx((0.5 + 0.25 + 1.875 + 0.1) / 4.0)
    assert goal.weighted_mean(BASE, BASE) == pytest.approx(1.0)
    no_cycles = replace(goal, board=M55)
    slow, quick = measured(4, BASELINE, count=100), measured(5, pruned(0.5), count=40)
    assert no_cycles.weighted_mean(quick, slow) == pytest.approx((1 + 0.5 + 2.5 * 0.4) / 4.0)


@pytest.mark.parametrize(
    "weights",
    [None, ObjectiveWeights(), ObjectiveWeights(0, 1, 0, 2, 0), ObjectiveWeights(1, 1, 0, 0)],
)
def test_what_is_chosen_has_the_best_score(weights: ObjectiveWeights | None) -> None:
    goal, trials = make_goal(M4, 0.9, weights=weights), (BASE, SMALL, QUICK)
    best = goal.best(trials, BASE)
    assert best == min(trials, key=lambda trial: goal.score(trial, BASE))
    assert goal.score(BASE, BASE) == pytest.approx(1.0)


@pytest.mark.parametrize("limit", [{"max_latency": 1e6}, {"max_energy": 1e9}])
def test_an_unknown_cost_violates_its_limit(limit: dict[str, float]) -> None:
    goal, untimed = make_goal(M4, 0.9, None, None, **limit), measured(9, pruned(0.9))
    assert untimed.measurement is not None
    assert costs_of(untimed.measurement, M4).latency_ms is None
    assert goal.violation(untimed) > 0.0
    assert goal.best([untimed], None) is None
    assert Goal.of(M4, 0.9).violation(untimed) == 0.0


@pytest.mark.parametrize("weights", [None, ObjectiveWeights(energy=1.0)])
def test_a_goal_is_kept_as_json(weights: ObjectiveWeights | None) -> None:
    goal = make_goal(M4, 0.9, 65_536, None, 50.0, 1000.0, weights)
    assert Goal.from_json(M4, goal.to_json()) == goal


def test_options_become_a_goal() -> None:
    goal = goal_of(M4, 0.9, "64K", "20K", "50ms", "1mJ", "flash=1")
    assert goal == make_goal(M4, 0.9, 65_536, 20_480, 50.0, 1000.0, ObjectiveWeights(0, 1, 0, 0, 0))
    assert goal_of(M4, 0.9, None, None, None, None, None) == make_goal(M4, 0.9)
    with pytest.raises(UserError, match="--max-ram '20X'"):
        goal_of(M4, 0.9, None, "20X", None, None, None)


@pytest.mark.parametrize("board", [M4, load_board("nucleo-f446re")], ids=lambda board: board.name)
def test_m4_draws_what_the_part_it_stands_for_does(board: Board) -> None:
    assert board.energy is not None
    assert (board.energy.active_mw, board.energy.clock_hz) == (163.0, 180_000_000)
    assert "STM32F446RE" in board.energy.source


def test_weights_are_stored_for_the_memory_that_weighs_more() -> None:
    assert make_goal(M4, 0.9).saves == "flash"
    assert make_goal(M4, 0.9, weights=ObjectiveWeights()).saves == "flash"
    assert make_goal(M4, 0.9, weights=ObjectiveWeights(ram=2.0)).saves == "ram"


def test_the_best_keeps_the_floor_with_the_confidence_asked_for() -> None:
    """The cheapest is the best on the validation split alone; a surer one costs more."""

    def halves(trial: Trial, error: float) -> Trial:
        assert trial.measurement is not None
        assert trial.accuracy is not None
        one = HalfFigures(trial.accuracy, error, 0.97 - trial.accuracy, error)
        return replace(trial, measurement=replace(trial.measurement, halves=(one, one)))

    goal = Goal.of(load_board("m4"), 0.95)
    sure = replace(goal, confidence=0.8)
    cheap = halves(measured(1, pruned(0.5), accuracy=0.951, count=500_000), 0.01)
    dear = halves(measured(2, pruned(0.9), accuracy=0.969, count=900_000), 0.01)
    assert goal.best([cheap, dear], None) == cheap
    assert sure.best([cheap, dear], None) == dear
    # Without one that is so sure, the most probable one; without figures, as before.
    assert replace(goal, confidence=0.999).best([cheap, dear], None) == dear
    old = measured(3, pruned(0.5), accuracy=0.951, count=500_000)
    assert sure.best([old], None) == old
    assert Goal.from_json(goal.board, sure.to_json()) == sure
    assert Goal.from_json(goal.board, {**goal.to_json(), "weights": None}) == goal
