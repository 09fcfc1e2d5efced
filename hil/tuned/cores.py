"""What tuned kernels ask of a board."""

from __future__ import annotations

from hil.types import Board


def has_dsp(board: Board) -> bool:
    """True for the cores whose micro-kernels use the DSP instructions: Cortex-M4, M7 and M33."""
    return "dsp" in board.features and "mve" not in board.features


def reads_weights_from_ram(board: Board) -> bool:
    """True if panels are copied to RAM first: where flash waits, each pair of pixels would."""
    return board.memory.flash is not None or board.flash_wait_states > 0


def has_mve(board: Board) -> bool:
    """True for the core with the vector instructions MVE: Cortex-M55."""
    return "mve" in board.features


def is_scalar(board: Board) -> bool:
    """True for the cores that multiply one pair of numbers at a time: Cortex-M0, M0+ and M3."""
    return not (has_dsp(board) or has_mve(board))
