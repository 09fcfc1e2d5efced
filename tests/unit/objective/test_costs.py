"""Time and energy of a measurement: by hand, at the clock and with the memories of the part."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helpers.trials import BASELINE, measured, pruned, with_cycles
from hil import formatting
from hil.board import load_board, without_waits
from hil.cycle_model import DelayedRam, FlashTiming, MemoryTiming
from hil.objective.costs import as_measured, costs_of, cycles_of
from hil.objective.goal import make_goal
from hil.objective.pareto import measurement_of
from hil.types import Board

M4, M3 = load_board("m4"), load_board("m3")
WAITING = with_cycles(measured(1, BASELINE), 900_000, M4)
FROM_BEFORE = with_cycles(measured(2, pruned(0.5)), 800_000, without_waits(M4))
UNTIMED = measured(3, pruned(0.4))


def test_an_emulated_boards_time_is_its_parts() -> None:
    measurement = measurement_of(WAITING)
    assert (measurement.model_cycles, measurement.wait_cycles) == (810_000, 90_000)
    costs = costs_of(measurement, M4)
    assert costs.latency_ms == pytest.approx(5.0)  # 900,000 / 180 MHz
    assert costs.energy_uj == pytest.approx(815.0)  # 5 ms at 163 mW
    without = costs_of(measurement, without_waits(M4))
    assert without.latency_ms == pytest.approx(4.5)
    on_m3 = with_cycles(measured(4, BASELINE), 900_000, M3)
    assert costs_of(measurement_of(on_m3), M3).latency_ms == pytest.approx(12.5)  # at 72 MHz


def test_a_real_boards_time_is_its_own() -> None:
    board = load_board("nucleo-f446re")
    counted = replace(measurement_of(UNTIMED), counter="dwt", count=360_000)
    assert costs_of(counted, board).latency_ms == pytest.approx(2.0)
    assert costs_of(counted, replace(board, clock_hz=90_000_000)).latency_ms == pytest.approx(4.0)


@pytest.mark.parametrize(("limit", "kept"), [(5.001, True), (4.999, False)])
def test_a_latency_limit_is_about_the_latency_that_is_reported(limit: float, kept: bool) -> None:
    goal = make_goal(M4, 0.9, max_latency=limit)
    assert (goal.violation(WAITING) == 0.0) is kept


def test_cycles_of_other_memories_are_unknown() -> None:
    assert cycles_of(measurement_of(FROM_BEFORE), M4) is None
    other = replace(M4, memory=MemoryTiming(FlashTiming(0, 1 << 22, 16, 6, 64, 8)))
    assert cycles_of(measurement_of(WAITING), other) is None
    assert cycles_of(measurement_of(UNTIMED), without_waits(M4)) is None


def test_a_run_has_one_memory() -> None:
    assert as_measured(M4, []) == M4
    assert as_measured(M4, [WAITING, UNTIMED]) == M4
    mixed = as_measured(M4, [WAITING, FROM_BEFORE])
    assert mixed == without_waits(M4)
    times = [costs_of(measurement_of(trial), mixed).latency_ms for trial in (WAITING, FROM_BEFORE)]
    assert times == [pytest.approx(4.5), pytest.approx(800 / 180)]


def test_work_of_trials_of_two_memories_is_compared_in_instructions() -> None:
    goal = make_goal(M4, 0.9)
    trials = (WAITING, replace(FROM_BEFORE, measurement=measurement_of(FROM_BEFORE)))
    assert goal.weighted_mean(trials[1], trials[0]) == pytest.approx(1.0)  # counts are equal


def test_memories_in_words() -> None:
    def words(board: Board) -> str:
        return formatting.memory_timing(board.memory)

    assert "flash of 16 bytes a read with 5 wait states" in words(M4)
    assert "RM0390" in words(M4)
    assert words(M3) == "memory without wait states"
    delayed = MemoryTiming(ram=DelayedRam(0x2003_0000, 0x1_0000), source="seen")
    assert formatting.memory_timing(delayed) == (
        "RAM from 0x20030000 to 0x20040000 that delays first accesses (seen)"
    )
    clock = formatting.time_clock(M4).replace("\N{NO-BREAK SPACE}", " ")
    assert clock == "180 MHz of the STM32F446RE"
