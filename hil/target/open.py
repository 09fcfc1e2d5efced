"""Which target runs a board: the one place that knows every implementation."""

from hil.codegen.build import check_compiler
from hil.emulator.plugin import counting_arguments
from hil.target.target import Target
from hil.types import Board


def open_target(board: Board) -> Target:
    """Open the board's target. Raises BenchError if it cannot be reached, UserError if it is not
    known which of several it is."""
    if board.backend == "pyocd":
        from hil.target.bench_file import find_benches
        from hil.target.target_probe import ProbeTarget

        return ProbeTarget(board, find_benches(board))
    from hil.target.target_qemu import QemuTarget

    return QemuTarget(board)


def check_reachable(board: Board) -> None:
    """Look for the tools and a real board before anything is spent; raises as `open_target`."""
    check_compiler(board)
    if board.backend == "pyocd":
        from hil.target.bench_file import find_benches

        find_benches(board)
    else:
        counting_arguments()
