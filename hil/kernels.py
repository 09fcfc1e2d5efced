"""Which C kernel runs an operator on a board, and how much scratch memory it needs.

CMSIS-NN comes first (4.0.0, or the user's own from 7.0.0 on: `hil.cmsis_nn`). Its concrete
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
    constants_of,
    inputs_of,
)
from compress.types import Graph
from hil.cmsis_nn import cmsis_nn
from hil.types import Board

NO_KERNEL = "none"

# CMSIS-NN 4.0.0, Include/arm_nnsupportfunctions.h: channels that MVE depthwise handles at a time.
MVE_CHANNEL_BLOCK = 124

# The kernels count extents in (u)int16_t, and arm_convolve_s8 the taps of a filter in uint16_t.
LONGEST_EXTENT = 2**15 - 1
MOST_TAPS = 2**16 - 1

# From 512 equal entries on, TFLite's softmax shifts an int32 by more than 31 bits.
MOST_SOFTMAX_COLUMNS = 511


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
    _check(graph, op)
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
    if (dsp or mve) and _touches(height, rows, op.stride[0], top, out_height):
        block = MVE_CHANNEL_BLOCK * 4 if mve else channels * 2
        return Kernel("arm_depthwise_conv_s8_opt", block * rows * columns)
    return Kernel("depthwise_s8")


def _average_pool(graph: Graph, op: AveragePool2D, board: Board) -> Kernel:
    """Buffer of arm_avgpool_s8_get_buffer_size: with DSP a row of int32 sums, otherwise none."""
    sums = "dsp" in board.features and "mve" not in board.features
    channels = graph.tensors[op.input].shape[3]
    return Kernel("arm_avgpool_s8", channels * 4 if sums else 0)


def _touches(size: int, taps: int, stride: int, before: int, outputs: int) -> bool:
    """Whether every window along an axis has at least one tap inside the input."""
    return before < taps and (outputs - 1) * stride - before < size


def _check(graph: Graph, op: Op) -> None:
    """Raise UnsupportedLayer for what no kernel here computes as the reference does."""
    tensors = graph.tensors
    out = tensors[op.output]
    for index in (*inputs_of(op), op.output):
        tensor = tensors[index]
        if tensor.dtype != "int8":
            raise UnsupportedLayer(f"{op.name}: {tensor.name} is {tensor.dtype}, kernels take int8")
        if max(tensor.shape) > LONGEST_EXTENT and not isinstance(op, Reshape | FullyConnected):
            raise UnsupportedLayer(
                f"{op.name}: {tensor.name} is {tensor.shape}, kernels take extents up to "
                f"{LONGEST_EXTENT}"
            )
        if tensor.shape[0] != 1:
            raise UnsupportedLayer(f"{op.name}: batch of {tensor.shape[0]}, kernels take 1")
    for index in constants_of(op):
        constant = tensors[index]
        operand = isinstance(op, Add | Mul)
        wanted = "int8" if constant.data is not None and constant.data.ndim > 1 else "int32"
        wanted = "int8" if operand else wanted
        shifted = constant.zero_point != 0 and not operand
        fitting = ("int8", "int4") if wanted == "int8" and not operand else (wanted,)
        if constant.data is None or constant.dtype not in fitting or shifted:
            raise UnsupportedLayer(
                f"{op.name}: {constant.name} must be a constant {wanted} with zero point 0"
            )

    match op:
        case Conv2D():
            filters, source = tensors[op.weights], tensors[op.input]
            if filters.shape[3] != source.shape[3]:
                raise UnsupportedLayer(
                    f"{op.name}: grouped convolution ({source.shape[3]} channels, filters over "
                    f"{filters.shape[3]})"
                )
            if filters.elements // filters.shape[0] > MOST_TAPS:
                raise UnsupportedLayer(f"{op.name}: more than {MOST_TAPS} taps in a filter")
        case Pad():
            if len(padded_levels(graph, op)) > 3:
                raise UnsupportedLayer(f"{op.name}: more than 3 padded axes")
        case AveragePool2D() | MaxPool2D() | Reshape():
            source = tensors[op.input]
            if (source.scales, source.zero_point) != (out.scales, out.zero_point):
                raise UnsupportedLayer(f"{op.name}: output must keep the input's scale")
            if not isinstance(op, Reshape) and not _pool_windows_touch(graph, op):
                raise UnsupportedLayer(f"{op.name}: a window lies wholly in the padding")
        case Softmax():
            if (out.scales, out.zero_point) != ((1 / 256,), -128):
                raise UnsupportedLayer(f"{op.name}: output must have scale 1/256, zero point -128")
            if out.shape[-1] > MOST_SOFTMAX_COLUMNS:
                raise UnsupportedLayer(
                    f"{op.name}: softmax over {out.shape[-1]} values, at most "
                    f"{MOST_SOFTMAX_COLUMNS} stay within int32"
                )
        case (
            DepthwiseConv2D()
            | FullyConnected()
            | Add()
            | Mul()
            | Requantize()
            | Lookup()
            | Mean()
            | Concatenate()
        ):
            pass
        case _:
            assert_never(op)


def padded_levels(graph: Graph, op: Pad) -> list[tuple[int, int, int]]:
    """(extent, bytes before, bytes after) per padded axis, innermost first; others merged.

    The first extent is in bytes, the others are in padded elements of the level below.
    """
    levels, element_bytes = [(1, 0, 0)], 1
    for extent, before, after in reversed(
        list(zip(graph.tensors[op.input].shape, op.before, op.after, strict=True))
    ):
        inner = levels[-1]
        if inner[1:] == (0, 0):
            levels[-1] = (inner[0] * extent, before * element_bytes, after * element_bytes)
        elif (extent, before, after) != (1, 0, 0):
            levels.append((extent, before * element_bytes, after * element_bytes))
        element_bytes *= extent + before + after
    return levels


def _pool_windows_touch(graph: Graph, op: AveragePool2D | MaxPool2D) -> bool:
    _, height, width, _ = graph.tensors[op.input].shape
    _, out_height, out_width, _ = graph.tensors[op.output].shape
    rows, columns = op.filter
    return _touches(height, rows, op.stride[0], op.padding.top, out_height) and _touches(
        width, columns, op.stride[1], op.padding.left, out_width
    )


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
