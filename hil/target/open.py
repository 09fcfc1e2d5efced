"""Selection of the target that runs a board: the one module that knows every implementation."""

from hil.codegen.build import check_compiler
from hil.emulator.plugin import counting_arguments
from hil.target.target import Target
from hil.types import Board


def open_target(board: Board) -> Target:
    """Open the board's target.

    Raises BenchError if the board cannot be reached, UserError if several benches may be meant or
    a tool is missing.
    """
    if board.backend == "pyocd":
        from hil.target.bench_file import find_benches
        from hil.target.target_probe import ProbeTarget

        return ProbeTarget(board, find_benches(board))
    from hil.target.target_qemu import QemuTarget

    return QemuTarget(board)


def open_waiting_target(board: Board) -> Target:
    """Open an emulated board's target that models the wait states of the part's memories.

    It is several times slower than `open_target`'s. Raises as `open_target`.
    """
    from hil.target.target_qemu import QemuTarget

    return QemuTarget(board, board.memory.flash, ram=board.memory.ram)


def check_reachable(board: Board) -> None:
    """Check that the tools and, for a real board, a bench are present. Raises as `open_target`.

    It is cheap: called before anything is trained.
    """
    check_compiler(board)
    if board.backend == "pyocd":
        from hil.target.bench_file import find_benches

        find_benches(board)
    else:
        counting_arguments()
