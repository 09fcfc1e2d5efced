"""Which C kernel runs an operator on a board, and how much scratch memory it needs.

CMSIS-NN comes first (4.0.0, or the user's own from 7.0.0 on: `hil.codegen.cmsis_nn`). Its concrete
functions are named here instead of its wrappers, so that the linker drops those a network does not
need. The conditions are the wrappers' own, plus those under which a function would read or write
outside its buffers (noted where they occur). All these functions requantize with double rounding
and round averages as TensorFlow Lite's reference does, and take the padding at the top and left
only: bottom and right follow from the output's shape, so asymmetric padding needs nothing special.
Our own kernels (`firmware/kernels`) fill the gaps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from compress.errors import UnsupportedLayer
from compress.ops import (
    Add,
    AveragePool2D,
    Concatenate,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Lookup,
    MaxPool2D,
    Mean,
    Mul,
    Op,
    Pad,
    Requantize,
    Reshape,
    Softmax,
)
from compress.types import Graph
from hil.codegen.cmsis_nn import cmsis_nn
from hil.codegen.kernel_limits import activation_types, check_op, touches
from hil.types import Board

NO_KERNEL = "none"

# CMSIS-NN 4.0.0, Include/arm_nnsupportfunctions.h: channels that MVE depthwise handles at a time.
MVE_CHANNEL_BLOCK = 124


@dataclass(frozen=True, slots=True)
class Kernel:
    """The C function that runs an operator (`NO_KERNEL` for a Reshape) and its scratch size."""

    name: str
    scratch_bytes: int = 0


def choose(graph: Graph, op: Op, board: Board) -> Kernel:
    """The kernel for `op` on `board`, by the board's features "dsp" and "mve".

    Raises UnsupportedLayer, naming the layer, where neither CMSIS-NN nor we have one that is
    bit-equal to the reference.
    """
    check_op(graph, op)
    if "int16" in activation_types(graph, op) and not isinstance(op, Reshape):
        return Kernel(int16_kernel(graph, op))
    match op:
        case Conv2D():
            return _convolution(graph, op, board)
        case DepthwiseConv2D():
            return _depthwise(graph, op, board)
        case FullyConnected():
            # A scale per unit is a 1x1 convolution of a single pixel. So is one scale with MVE from
            # CMSIS-NN 7.0.0 on, whose arm_fully_connected_s8 wants the weights summed beforehand.
            single = len(graph.tensors[op.weights].scales) == 1
            single &= not (cmsis_nn().since_7 and "mve" in board.features)
            return Kernel("arm_fully_connected_s8" if single else "arm_convolve_1x1_s8_fast")
        case AveragePool2D():
            return _average_pool(graph, op, board)
        case MaxPool2D():
            return Kernel("arm_max_pool_s8")
        case Reshape():
            return Kernel(NO_KERNEL)
        case Add():
            return Kernel("add_s8")
        case Softmax():
            return Kernel("softmax_s8")
        case Requantize():
            return Kernel("requantize_s8")
        case Mul():
            return Kernel("mul_s8")
        case Lookup():
            return Kernel("lookup_s8")
        case Mean():
            return Kernel("mean_s8")
        case Pad():
            return Kernel("pad_s8")
        case Concatenate():
            return Kernel("concatenate_s8")
        case _:
            assert_never(op)


def alignment_bytes(board: Board) -> int:
    """What buffers in the arena are aligned to: scratch holds words, MVE loads whole registers."""
    return 16 if "mve" in board.features else 4


def _convolution(graph: Graph, op: Conv2D, board: Board) -> Kernel:
    """Conditions of arm_convolve_wrapper_s8; buffers of arm_convolve_s8_get_buffer_size."""
    _, height, _, channels = graph.tensors[op.input].shape
    _, out_height, out_width, _ = graph.tensors[op.output].shape
    _, rows, columns, _ = graph.tensors[op.weights].shape
    pad = op.padding
    taps = rows * columns * channels

    if rows == columns == 1 and not (pad.top or pad.bottom or pad.left or pad.right):
        return Kernel("arm_convolve_1x1_s8_fast" if op.stride == (1, 1) else "arm_convolve_1x1_s8")
    if cmsis_nn().since_7:
        # Its arm_convolve_1_x_n_s8 is wrong where a stride leaves input over or steps over padding.
        mve = "mve" in board.features
        return Kernel("arm_convolve_s8", 4 * _round_up(taps, 16 if mve else 4))
    if "mve" not in board.features:
        # Two im2col columns of int16; without MVE arm_convolve_1_x_n_s8 only calls this one.
        return Kernel("arm_convolve_s8", 2 * taps * 2)
    # Four outputs at a time: the function writes a multiple of 4 columns of a single row.
    row_only = height == rows == out_height == 1 and not (pad.top or pad.bottom)
    if row_only and out_width % 4 == 0 and (op.dilation[1] == 1 or columns == 1):
        return Kernel("arm_convolve_1_x_n_s8")
    return Kernel("arm_convolve_s8", 4 * _round_up(taps, 8))


def _depthwise(graph: Graph, op: DepthwiseConv2D, board: Board) -> Kernel:
    """Conditions of arm_depthwise_conv_wrapper_s8, but ours in place of arm_depthwise_conv_s8.

    That one takes 2 to 3 times as many instructions, and is only left with a channel multiplier.
    Buffers of arm_depthwise_conv_s8_opt_get_buffer_size, which the others do not touch.
    """
    _, height, width, channels = graph.tensors[op.input].shape
    _, out_height, out_width, out_channels = graph.tensors[op.output].shape
    _, rows, columns, _ = graph.tensors[op.weights].shape
    dsp, mve = "dsp" in board.features, "mve" in board.features
    dilated = (op.dilation[0] > 1 and rows > 1) or (op.dilation[1] > 1 and columns > 1)
    top, left = op.padding.top, op.padding.left

    if out_channels != channels:
        return Kernel("arm_depthwise_conv_s8")
    if dilated:
        return Kernel("depthwise_s8")
    if rows == columns == 3 and top <= 1 and left <= 1 and not mve:
        # The 3x3 function reads the middle column of each window unconditionally.
        last_middle = (out_width - 1) * op.stride[1] - left + 1
        if last_middle < width:
            return Kernel("arm_depthwise_conv_3x3_s8")
    # Without DSP the optimized function only calls the slow one. With it, a window wholly above
    # or below the input would make it clear more rows than its buffer has.
    if (dsp or mve) and touches(height, rows, op.stride[0], top, out_height):
        block = MVE_CHANNEL_BLOCK * 4 if mve else channels * 2
        return Kernel("arm_depthwise_conv_s8_opt", block * rows * columns)
    return Kernel("depthwise_s8")


def _average_pool(graph: Graph, op: AveragePool2D, board: Board) -> Kernel:
    """Buffer of arm_avgpool_s8_get_buffer_size: with DSP a row of int32 sums, otherwise none."""
    sums = "dsp" in board.features and "mve" not in board.features
    channels = graph.tensors[op.input].shape[3]
    return Kernel("arm_avgpool_s8", channels * 4 if sums else 0)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


# Products of an int16 and an int8 whose sum stays inside of int32: depthwise_s16 adds as many.
MOST_INT16_TAPS = 511


def int16_kernel(graph: Graph, op: Op) -> str:
    """Name of the C function for `op`. Raises UnsupportedLayer, naming it, where there is none."""
    match op:
        case Conv2D() | FullyConnected():
            return "convolve_s16"
        case DepthwiseConv2D():
            _, rows, columns, _ = graph.tensors[op.weights].shape
            if rows * columns > MOST_INT16_TAPS:
                raise UnsupportedLayer(f"{op.name}: more than {MOST_INT16_TAPS} taps on int16")
            return "depthwise_s16"
        case Add() if not op.constant:
            return "add_s16"
        case AveragePool2D():
            return "average_pool_s16"
        case MaxPool2D():
            return "max_pool_s16"
        case Requantize():
            source, out = graph.tensors[op.input].dtype, graph.tensors[op.output].dtype
            if source == out:
                return "requantize_s16"
            return "requantize_s8_s16" if out == "int16" else "requantize_s16_s8"
        case _:
            raise UnsupportedLayer(
                f"{op.name}: there is no kernel for {type(op).__name__} on int16"
            )
