"""Which target runs a board: the one place that knows every implementation."""

from hil.target import Target
from hil.types import Board


def open_target(board: Board) -> Target:
    """Open the board's target. Raises BenchError if it cannot be reached."""
    from hil.target_qemu import QemuTarget

    return QemuTarget(board)
