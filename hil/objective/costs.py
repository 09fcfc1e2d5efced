"""The costs of one inference of a measured network on its board: bytes, time, energy."""

from __future__ import annotations

from dataclasses import dataclass

from hil.cycle_model import MODELED_CORES
from hil.energy.energy import inference_energy
from hil.types import Board, Measurement


@dataclass(frozen=True, slots=True)
class Costs:
    """The costs of one inference. `count` is in the unit of the board's counter.

    `latency_ms` is cycles divided by the board's clock, with modeled cycles on an emulated board;
    None if only instructions were counted. `energy_uj` is also None without a power figure.
    """

    flash_bytes: int
    ram_bytes: int
    count: int
    latency_ms: float | None
    energy_uj: float | None


def costs_of(measurement: Measurement, board: Board) -> Costs:
    """The costs of a network measured on `board`; its energy from the board's power figure."""
    cycles = cycles_of(measurement)
    energy = inference_energy(board, cycles)
    return Costs(
        flash_bytes=measurement.flash.total,
        ram_bytes=measurement.ram.total,
        count=measurement.count,
        latency_ms=None if cycles is None else 1e3 * cycles / board.clock_hz,
        energy_uj=None if energy is None else energy.microjoules,
    )


def cycles_of(measurement: Measurement) -> int | None:
    """Core cycles of one inference: counted on silicon, modeled in the emulator, else None."""
    if measurement.counter in ("dwt", "systick"):
        return measurement.count
    return measurement.model_cycles


def cycles_known(board: Board) -> str:
    """The source of cycles, and so of time, on `board`: "counted", "modelled", or "none"."""
    if board.counter != "insn":
        return "counted"
    return "modelled" if board.core in MODELED_CORES else "none"


def knows_cycles(board: Board) -> bool:
    """True if measurements on `board` give cycles, counted or modeled."""
    return cycles_known(board) != "none"
