"""What a board measured of a network, as lines of a library's README."""

from __future__ import annotations

from dataclasses import dataclass

from hil.formatting import memory_timing, plus_minus, three_digits, time_clock
from hil.objective.costs import cycles_of, latency_ms
from hil.types import COUNTER_UNITS, Board, Measurement, Provenance

# Parts of an image that are the network's; the others are those of the firmware that measures.
_OWN_FLASH = ("weights", "model", "kernels")


@dataclass(frozen=True, slots=True)
class Measured:
    """A measurement, where it comes from, and in words what was measured."""

    measurement: Measurement
    provenance: Provenance
    what: str


def figure_lines(measured: Measured, board: Board) -> list[tuple[str, str]]:
    """Name and value of each figure, exact numbers with their unit and kind."""
    found = measured.measurement
    flash = {part: found.flash.parts.get(part, 0) for part in _OWN_FLASH}
    parts = ", ".join(f"{part} {size}" for part, size in flash.items())
    lines = [
        ("flash", f"{sum(flash.values())} bytes ({parts})"),
        ("arena, used", f"{found.ram.parts['arena']} bytes"),
        ("stack", f"{found.ram.parts['stack']} bytes, the peak from reset on"),
        (COUNTER_UNITS[found.counter], f"{found.count} for one inference"),
    ]
    cycles = cycles_of(found, board)
    if found.counter == "insn" and cycles is not None:
        error = "" if found.model_error is None else f", {plus_minus(found.model_error)}"
        waits = memory_timing(board.memory) if found.wait_cycles is not None else "without waits"
        lines.append(("cycles", f"{cycles}, modelled{error}; memory: {waits}"))
    milliseconds = latency_ms(cycles, board)
    if milliseconds is not None:
        lines.append(("time", f"{three_digits(milliseconds)} ms at {time_clock(board)}"))
    return lines


def figures_note(measured: Measured | None, board: Board) -> str:
    """What was measured, with what; or why there are no figures."""
    if measured is None:
        return f"`hil bench` measures it on {board.name}."
    origin = measured.provenance
    tools = ", ".join(
        text for text in (origin.compiler, origin.emulator, f"`{origin.flags}`") if text
    )
    return (
        f"Measured: {measured.what}, median of {measured.measurement.total} samples, outputs equal "
        f"to the integer reference bit for bit (oracles: {origin.oracles or 'none'}). Sources "
        f"{origin.git_sha}; kernels: {origin.kernels}; {tools}."
    )
