"""Conv2D and DepthwiseConv2D: CMSIS-NN's kernels on int8, ours on int16 and where it has none.

The conditions are those of CMSIS-NN's wrappers (arm_convolve_wrapper_s8,
arm_depthwise_conv_wrapper_s8), plus those under which a function would read or write outside its
buffers. Its concrete functions are named instead of the wrappers, so that the linker drops those
that a network does not need. All requantize with double rounding. They take the padding at the top
and left only: bottom and right follow from the output's shape, so asymmetric padding needs no
kernel of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from compress.errors import UnsupportedLayer
from compress.ops import Conv2D, DepthwiseConv2D
from compress.types import Graph
from hil.kernel_interface.call import Call, Dims, size_text, stride_text
from hil.kernel_interface.limits import round_up, touches
from hil.kernel_interface.operator_kernels import Kernel, OperatorKernels
from hil.kernels.cmsis_nn import cmsis_nn
from hil.kernels.weights import (
    check_weights,
    expanded_bytes,
    have_zero_point,
    stored_in,
    weight_bytes,
    weighted_call,
)
from hil.types import Board, Step

# arm_convolve_s8 counts the taps of a filter in uint16_t.
MOST_TAPS = 2**16 - 1

# Products of an int16 and an int8 whose sum stays inside of int32: depthwise_s16 adds as many.
MOST_INT16_TAPS = 511

# CMSIS-NN 4.0.0, Include/arm_nnsupportfunctions.h: channels that MVE depthwise handles at a time.
MVE_CHANNEL_BLOCK = 124


def _check_convolution(graph: Graph, op: Conv2D) -> None:
    check_weights(graph, op)
    filters = graph.tensors[op.weights]
    if filters.elements // filters.shape[0] > MOST_TAPS:
        raise UnsupportedLayer(f"{op.name}: more than {MOST_TAPS} taps in a filter")


def _convolution_kernels(graph: Graph, op: Conv2D, board: Board) -> Iterator[Kernel]:
    """Scratch as in arm_convolve_s8_get_buffer_size: columns of an im2col matrix.

    CMSIS-NN 4.0.0 has no convolution in groups.
    """
    _, height, _, channels = graph.tensors[op.input].shape
    _, out_height, out_width, _ = graph.tensors[op.output].shape
    _, rows, columns, depth = graph.tensors[op.weights].shape
    room = expanded_bytes(graph, op)
    if have_zero_point(graph, op):
        yield Kernel("convolve_offset_s8", 0, room)
        return
    if depth != channels:
        yield Kernel("convolve_groups_s8", 0, room)
        return
    mve, since_7 = "mve" in board.features, cmsis_nn().since_7
    pad = op.padding

    if rows == columns == 1 and not (pad.top or pad.bottom or pad.left or pad.right):
        fast = op.stride == (1, 1)
        yield Kernel("arm_convolve_1x1_s8_fast" if fast else "arm_convolve_1x1_s8", 0, room)
    # Without MVE arm_convolve_1_x_n_s8 only calls arm_convolve_s8. With it, the function of 4.0.0
    # writes a multiple of 4 columns of a single row; that of 7.0.0 is wrong where a stride leaves
    # input over or steps over padding.
    elif mve and not since_7:
        row_only = height == rows == out_height == 1 and not (pad.top or pad.bottom)
        if row_only and out_width % 4 == 0 and (op.dilation[1] == 1 or columns == 1):
            yield Kernel("arm_convolve_1_x_n_s8", 0, room)
    yield Kernel("arm_convolve_s8", _im2col_bytes(rows * columns * channels, mve, since_7), room)


def _im2col_bytes(taps: int, mve: bool, since_7: bool) -> int:
    """Four columns of int8 with MVE, otherwise two of int16; rounded up as each release does."""
    if mve:
        return 4 * round_up(taps, 16 if since_7 else 8)
    return 2 * 2 * (round_up(taps, 4) if since_7 else taps)


def _convolution_call(graph: Graph, step: Step, op: Conv2D) -> Call:
    return _call(graph, step, op, "conv", {})


def _depthwise_kernels(graph: Graph, op: DepthwiseConv2D, board: Board) -> Iterator[Kernel]:
    """Scratch as in arm_depthwise_conv_s8_opt_get_buffer_size, which the others do not touch.

    Ours stands in for arm_depthwise_conv_s8, which takes 2 to 3 times as many instructions and is
    only left with a channel multiplier.
    """
    _, height, width, channels = graph.tensors[op.input].shape
    _, out_height, out_width, out_channels = graph.tensors[op.output].shape
    _, rows, columns, _ = graph.tensors[op.weights].shape
    room = expanded_bytes(graph, op)
    dsp, mve = "dsp" in board.features, "mve" in board.features
    dilated = (op.dilation[0] > 1 and rows > 1) or (op.dilation[1] > 1 and columns > 1)
    top, left = op.padding.top, op.padding.left

    if have_zero_point(graph, op):
        yield Kernel("depthwise_offset_s8", 0, room)
        return
    if out_channels != channels:
        yield Kernel("arm_depthwise_conv_s8", 0, room)
        return
    if rows == columns == 3 and top <= 1 and left <= 1 and not (mve or dilated):
        # The 3x3 function reads the middle column of each window unconditionally.
        last_middle = (out_width - 1) * op.stride[1] - left + 1
        if last_middle < width:
            yield Kernel("arm_depthwise_conv_3x3_s8", 0, room)
    # Without DSP the optimized function only calls the slow one. With it, a window wholly above
    # or below the input would make it clear more rows than its buffer has.
    inside = touches(height, rows, op.stride[0], top, out_height)
    if (dsp or mve) and inside and not dilated:
        block = MVE_CHANNEL_BLOCK * 4 if mve else channels * 2
        yield Kernel("arm_depthwise_conv_s8_opt", block * rows * columns, room)
    yield Kernel("depthwise_s8", 0, room)


def _depthwise_call(graph: Graph, step: Step, op: DepthwiseConv2D) -> Call:
    channels = graph.tensors[op.input].shape[3]
    multiplier = graph.tensors[op.output].shape[3] // channels
    return _call(graph, step, op, "depthwise", {"multiplier": multiplier})


def _convolution_int16_kernels(graph: Graph, op: Conv2D, board: Board) -> Iterator[Kernel]:
    yield Kernel("convolve_s16", 0, expanded_bytes(graph, op))


def _depthwise_int16_kernels(graph: Graph, op: DepthwiseConv2D, board: Board) -> Iterator[Kernel]:
    _, rows, columns, _ = graph.tensors[op.weights].shape
    if rows * columns > MOST_INT16_TAPS:
        raise UnsupportedLayer(f"{op.name}: more than {MOST_INT16_TAPS} taps on int16")
    yield Kernel("depthwise_s16", 0, expanded_bytes(graph, op))


def _call(
    graph: Graph, step: Step, op: Conv2D | DepthwiseConv2D, macro: str, values: dict[str, int]
) -> Call:
    tensors = graph.tensors
    weights = tensors[op.weights].shape
    return weighted_call(
        graph,
        step,
        op,
        macro=macro,
        values={
            "stride": op.stride,
            "padding": (op.padding.top, op.padding.left),
            "dilation": op.dilation,
            **values,
        },
        dims=(Dims(*tensors[op.input].shape), Dims(*weights), Dims(*tensors[op.output].shape)),
        stored=stored_in(graph, step, op),
        window=(f"filter {size_text(weights[1:3])}", *stride_text(op.stride)),
    )


OPERATORS = (
    OperatorKernels(
        op=Conv2D,
        check=_check_convolution,
        kernels=_convolution_kernels,
        int16_kernels=_convolution_int16_kernels,
        call=_convolution_call,
        weight_bytes=weight_bytes,
    ),
    OperatorKernels(
        op=DepthwiseConv2D,
        check=check_weights,
        kernels=_depthwise_kernels,
        int16_kernels=_depthwise_int16_kernels,
        call=_depthwise_call,
        weight_bytes=weight_bytes,
    ),
)
