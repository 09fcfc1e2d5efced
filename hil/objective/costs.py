"""What one inference of a measured network costs on its board: bytes, time, energy."""

from __future__ import annotations

from dataclasses import dataclass

from hil.cycle_model import MODELED_CORES
from hil.energy.energy import inference_energy
from hil.types import Board, Measurement


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs to be minimized. `count` is in the unit of the board's counter.

    `latency_ms` is cycles over the board's clock, modelled cycles where the board is emulated; None
    where only instructions were counted. `energy_uj` is None, too, where no power is known.
    """

    flash_bytes: int
    ram_bytes: int
    count: int
    latency_ms: float | None
    energy_uj: float | None


def costs_of(measurement: Measurement, board: Board) -> Costs:
    """The costs of a network measured on `board`, at the power that the board's figure tells."""
    cycles = cycles_of(measurement)
    energy = inference_energy(board, cycles)
    return Costs(
        measurement.flash.total,
        measurement.ram.total,
        measurement.count,
        None if cycles is None else 1e3 * cycles / board.clock_hz,
        None if energy is None else energy.microjoules,
    )


def cycles_of(measurement: Measurement) -> int | None:
    """Core cycles of one inference: counted on silicon, modelled in the emulator, else None."""
    if measurement.counter in ("dwt", "systick"):
        return measurement.count
    return measurement.model_cycles


def cycles_known(board: Board) -> str:
    """How measurements on `board` tell cycles, and so time: "counted", "modelled", or "none"."""
    if board.counter != "insn":
        return "counted"
    return "modelled" if board.core in MODELED_CORES else "none"


def knows_cycles(board: Board) -> bool:
    """Whether measurements on `board` tell cycles."""
    return cycles_known(board) != "none"
