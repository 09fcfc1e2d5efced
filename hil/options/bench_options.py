"""The options of `hil bench` that choose kernels, and wait states of the modeled memories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from compress.errors import UserError
from hil.board import MAX_CACHE_LINES, MAX_FLASH_WAIT_STATES, MAX_LINE_BYTES
from hil.cycle_model import DelayedRam, FlashTiming, MemoryTiming
from hil.objective.costs import cycles_known
from hil.types import Board, Memory

if TYPE_CHECKING:
    from compress.types import Graph, Samples
    from hil.codegen.plan import KernelChoice
    from hil.measure.measure import BoardRunner

OF_PART, NONE = "part", "none"
_FLASH_FORM = "LINE:WAIT:INSTRUCTIONS:DATA"
_RAM_FORM = "ORIGIN:LENGTH"
_FLASH_BOUNDS = (
    (1, MAX_LINE_BYTES),
    (1, MAX_FLASH_WAIT_STATES),
    (0, MAX_CACHE_LINES),
    (0, MAX_CACHE_LINES),
)


class Optimize(StrEnum):
    """What the form of stored weights is chosen for."""

    SPEED = "speed"
    RAM = "ram"
    SIZE = "size"

    @property
    def saves(self) -> Memory:
        """The memory that stored weights save."""
        saved: dict[Optimize, Memory] = {Optimize.RAM: "ram", Optimize.SIZE: "flash"}
        return saved.get(self, "nothing")


class Kernels(StrEnum):
    """How the kernel of a layer is chosen."""

    FASTEST = "fastest"
    TUNED = "tuned"
    CMSIS_NN = "cmsis-nn"


OptimizeOption = Annotated[
    Optimize,
    typer.Option(
        help="'speed': store weights as the fastest kernel reads them; 'ram': take kernels with "
        "less scratch, and compute layers row by row, where most RAM is used; 'size': take the "
        "form of weights and the kernels that need least flash together."
    ),
]
KernelsOption = Annotated[
    Kernels,
    typer.Option(
        help="'fastest': each layer's kernels are timed on the board, the fastest is taken "
        "(times are kept by shape); 'tuned': without timing, our own before CMSIS-NN's; "
        "'cmsis-nn': CMSIS-NN's, to compare."
    ),
]
FrontOption = Annotated[
    bool,
    typer.Option(
        "--front",
        help="With --optimize ram: measure the plans between the fastest and that of least RAM, "
        "too.",
    ),
]
FlashTimingOption = Annotated[
    str,
    typer.Option(
        "--flash-timing",
        metavar=f"part|none|{_FLASH_FORM}",
        help="Wait states of the flash in the modelled cycles: those of the part that the emulated "
        "board stands for, where its file has them; none; or bytes per read, cycles per read, and "
        "lines of the caches for instructions and data, such as 16:5:64:8.",
    ),
]
DelayedRamOption = Annotated[
    str,
    typer.Option(
        "--delayed-ram",
        metavar=f"part|none|{_RAM_FORM}",
        help="RAM that delays each first access by a cycle in the modelled cycles: the part's, "
        "where the board's file has it; none; or its addresses on the board, such as "
        "0x20030000:0x10000.",
    ),
]


def kernel_choice(
    graph: Graph,
    board: Board,
    runner: BoardRunner,
    samples: Samples,
    optimize: Optimize,
    kernels: Kernels,
    tick: Callable[[float], None],
) -> KernelChoice:
    """How kernels are chosen, after timing candidates, where asked for: `tick` gets its share."""
    from hil.codegen.plan import KernelChoice
    from hil.codegen.selection import select
    from hil.measure.kernel_costs import time_kernels

    choice = KernelChoice(optimize.saves, "cmsis-nn" if kernels is Kernels.CMSIS_NN else "tuned")
    if kernels is not Kernels.FASTEST:
        return choice
    choice = replace(choice, costs=time_kernels(graph, board, runner, samples, choice, tick))
    return select(graph, board, choice)


def check_front(optimize: Optimize, kernels: Kernels) -> None:
    """Raise UserError unless plans can be compared by RAM and by the costs of their kernels."""
    if optimize is not Optimize.RAM or kernels is not Kernels.FASTEST:
        raise UserError("--front needs --optimize ram and --kernels fastest")


def with_memory(board: Board, flash: str, ram: str) -> Board:
    """The board with the memories that the two options ask for.

    Raises UserError for other texts, and for a board whose cycles are not modeled.
    """
    asked = {"--flash-timing": flash, "--delayed-ram": ram}
    for option, text in asked.items():
        if text not in (OF_PART, NONE) and cycles_known(board) != "modelled":
            raise UserError(
                f"{option} {text}: cycles of board {board.name} are not modelled; choose an "
                "emulated board whose cycles are (hil boards: cycles)"
            )
    memory = board.memory
    if flash != OF_PART:
        timing = None if flash == NONE else _flash(board, flash)
        memory = replace(memory, flash=timing, source=_source(memory, timing, memory.ram))
    if ram != OF_PART:
        delayed = None if ram == NONE else _ram(board, ram)
        memory = replace(memory, ram=delayed, source=_source(memory, memory.flash, delayed))
    return replace(board, memory=memory)


def _source(memory: MemoryTiming, flash: FlashTiming | None, ram: DelayedRam | None) -> str:
    """The board file's source as long as all that is left is from there."""
    kept = flash in (None, memory.flash) and ram in (None, memory.ram)
    return memory.source if kept and (flash or ram) else "as asked for" if flash or ram else ""


def _flash(board: Board, text: str) -> FlashTiming:
    names = _FLASH_FORM.lower().split(":")
    numbers = _numbers("--flash-timing", text, _FLASH_FORM, len(names))
    for name, number, (least, most) in zip(names, numbers, _FLASH_BOUNDS, strict=True):
        if not least <= number <= most:
            raise UserError(f"--flash-timing {text}: {name} must be from {least} to {most}")
    return FlashTiming(board.flash.origin, board.flash.length_bytes, *numbers)


def _ram(board: Board, text: str) -> DelayedRam:
    origin, length_bytes = _numbers("--delayed-ram", text, _RAM_FORM, 2)
    if not (origin >= 0 and 1 <= length_bytes <= (1 << 32) - origin):
        raise UserError(f"--delayed-ram {text}: must be a range of addresses below 0x100000000")
    return DelayedRam(origin, length_bytes)


def _numbers(option: str, text: str, form: str, count: int) -> list[int]:
    parts = text.split(":")
    try:
        numbers = [int(part, 0) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise UserError(f"{option} {text!r}: must be {OF_PART}, {NONE} or {form}, whole numbers")
    return numbers
