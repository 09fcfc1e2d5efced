"""pyOCD targets of the emulated boards, made from their `boards/*.toml`.

For a debugger all of QEMU's memory is RAM, so no flash algorithm is needed: pyOCD may write the
regions that the linker uses.
"""

from __future__ import annotations

from pyocd.core.memory_map import MemoryMap, RamRegion
from pyocd.core.session import Session
from pyocd.coresight.coresight_target import CoreSightTarget
from pyocd.target import TARGET

from hil.board import board_names, load_board
from hil.types import Board, Region


def register_boards() -> None:
    """Register every emulated board with pyOCD. Raises UserError for a wrong board file."""
    for board in map(load_board, board_names()):
        if board.backend == "qemu" and board.pyocd_target not in TARGET:
            register_board(board)


def register_board(board: Board) -> None:
    """Register `board.pyocd_target` with pyOCD, for this process."""
    memory_map = _memory_map(board)

    class EmulatedTarget(CoreSightTarget):
        """The chip of one emulated board."""

        VENDOR = "QEMU"
        MEMORY_MAP = memory_map

        def __init__(self, session: Session) -> None:
            super().__init__(session, self.MEMORY_MAP)

    EmulatedTarget.__name__ = board.pyocd_target
    TARGET[board.pyocd_target] = EmulatedTarget


def _memory_map(board: Board) -> MemoryMap:
    named = {"flash": board.flash, "ram": board.ram, "staging": board.staging}
    return MemoryMap(
        *(_ram_region(name, region) for name, region in named.items() if region is not None)
    )


def _ram_region(name: str, region: Region) -> RamRegion:
    return RamRegion(
        name=name,
        start=region.origin,
        length=region.length_bytes,
        access="rwx",
        is_boot_memory=name == "flash",
    )
