"""The costs of one inference of a measured network on its board: bytes, time, energy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hil.board import without_waits
from hil.cycle_model import MODELED_CORES
from hil.energy.energy import inference_energy
from hil.types import Board, Measurement, Trial


@dataclass(frozen=True, slots=True)
class Costs:
    """The costs of one inference. `count` is in the unit of the board's counter.

    `latency_ms` is cycles divided by the board's clock; on an emulated board, modeled cycles with
    the wait states of the part that it stands for, divided by the part's clock. It is None if only
    instructions were counted. `energy_uj` is also None without a power figure.
    """

    flash_bytes: int
    ram_bytes: int
    count: int
    latency_ms: float | None
    energy_uj: float | None


def costs_of(measurement: Measurement, board: Board) -> Costs:
    """The costs of a network measured on `board`; its energy from the board's power figure."""
    cycles = cycles_of(measurement, board)
    energy = inference_energy(board, cycles)
    return Costs(
        flash_bytes=measurement.flash.total,
        ram_bytes=measurement.ram.total,
        count=measurement.count,
        latency_ms=latency_ms(cycles, board),
        energy_uj=None if energy is None else energy.microjoules,
    )


def cycles_of(measurement: Measurement, board: Board) -> int | None:
    """Core cycles of one inference: counted on silicon, modeled in the emulator, else None.

    Modeled cycles are those with the wait states of `board.memory`. They are unknown for a
    measurement without wait states, or with those of other memories.
    """
    if measurement.counter in ("dwt", "systick"):
        return measurement.count
    if measurement.model_cycles is None or not board.memory.waits:
        return measurement.model_cycles
    if measurement.wait_cycles is None or measurement.memory_timing != board.memory.key:
        return None
    return measurement.model_cycles + measurement.wait_cycles


def latency_ms(cycles: float | None, board: Board) -> float | None:
    """The time of so many core cycles at the board's clock, or at that of its part."""
    return None if cycles is None else 1e3 * cycles / board.time_clock_hz


def as_measured(board: Board, trials: Iterable[Trial]) -> Board:
    """The board with the wait states that all `trials` with modeled cycles have; else without any.

    So the times and energies of one run are always comparable: a run begun by a version that did
    not model wait states, or with a board file that said others, is continued and reported
    without.
    """
    timed = (t.measurement for t in trials if t.measurement and t.measurement.model_cycles)
    known = all(cycles_of(measurement, board) is not None for measurement in timed)
    return board if known else without_waits(board)


def cycles_known(board: Board) -> str:
    """The source of cycles, and so of time, on `board`: "counted", "modelled", or "none"."""
    if board.counter != "insn":
        return "counted"
    return "modelled" if board.core in MODELED_CORES else "none"


def knows_cycles(board: Board) -> bool:
    """True if measurements on `board` give cycles, counted or modeled."""
    return cycles_known(board) != "none"
