"""DepthwiseConv2D on cores with MVE, filter up to 4x4, no channel multiplier: depthwise_mve.c."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from compress.ops import DepthwiseConv2D
from compress.types import Graph
from hil.kernel_interface.call import Call, array, size_text, stride_text
from hil.kernel_interface.limits import round_up
from hil.kernel_interface.operator_kernels import SAME_BYTE, Kernel, TunedKernel
from hil.tuned.calls import Field, job_call
from hil.tuned.cores import has_mve
from hil.tuned.requantize import Channels, Int64Array, channels_of
from hil.tuned_mve.panels import MVE_PANEL_CHANNELS, Int8Values, Scaling, scaling_of
from hil.types import Board, Step

_NAME = "depthwise_mve"
# A plane has columns of four rows; a window is four of them.
WINDOW = 4
# Channels that are moved to planes at a time, and the largest offset between them.
_MOVED_CHANNELS = 8
_BLOCKS = (32, 16, 8)
_LARGEST_OFFSET = 2**16 - 1


def _channels(graph: Graph, op: DepthwiseConv2D) -> Channels | None:
    """The channels of a layer that depthwise_mve.c computes exactly; None for another."""
    weights = graph.tensors[op.weights]
    channels = graph.tensors[op.input].shape[3]
    _, rows, columns, outputs = weights.shape
    if weights.data is None or weights.dtype != "int8" or outputs != channels:
        return None
    if max(rows, columns) > WINDOW or op.stride[1] > 2:
        return None
    if (op.dilation[0] > 1 and rows > 1) or (op.dilation[1] > 1 and columns > 1):
        return None
    if (_MOVED_CHANNELS - 1) * _plane_bytes(graph, op) > _LARGEST_OFFSET:
        return None
    return channels_of(graph, op, weights.data.reshape(-1, channels).T.astype(np.int64))


def _plane_columns(graph: Graph, op: DepthwiseConv2D) -> int:
    return (graph.tensors[op.output].shape[2] - 1) * op.stride[1] + WINDOW


def _plane_bytes(graph: Graph, op: DepthwiseConv2D) -> int:
    return WINDOW * _plane_columns(graph, op)


def _kernels(graph: Graph, op: DepthwiseConv2D, board: Board) -> Iterator[Kernel]:
    if not has_mve(board) or _channels(graph, op) is None:
        return
    plane_bytes = _plane_bytes(graph, op)
    all_channels, *blocks = _blocks(graph, op)
    yield Kernel(_NAME, all_channels * plane_bytes, lead_bytes=_lead_bytes(graph, op))
    for block in blocks:
        yield Kernel(_NAME, block * plane_bytes, lead_bytes=SAME_BYTE)


def _blocks(graph: Graph, op: DepthwiseConv2D) -> tuple[int, ...]:
    """Channels that may be computed at a time, the fastest first: all, then less.

    Less only where each channel's outputs may take the place of its own inputs, which all have
    been moved when an output is written: with stride 1, and if each window ends below its output.
    """
    source, out = graph.tensors[op.input].shape, graph.tensors[op.output].shape
    all_channels = round_up(source[3], _MOVED_CHANNELS)
    rows = graph.tensors[op.weights].shape[1]
    if source != out or op.stride != (1, 1) or op.padding.top >= rows:
        return (all_channels,)
    return (all_channels, *(block for block in _BLOCKS if block < all_channels))


def _lead_bytes(graph: Graph, op: DepthwiseConv2D) -> int:
    """How many bytes before the input the output has to start.

    Before a row of outputs is written, all rows of its windows have been moved: it must end before
    the first row after these, if there is one.
    """
    _, rows, columns, channels = graph.tensors[op.input].shape
    _, out_rows, out_columns, _ = graph.tensors[op.output].shape
    y = np.arange(out_rows, dtype=np.int64)
    moved = y * op.stride[0] - op.padding.top + graph.tensors[op.weights].shape[1]
    ends = ((y + 1) * out_columns - np.maximum(moved, 0) * columns) * channels
    return max(0, int(ends[moved < rows].max(initial=0)))


def weight_offsets(filter_rows: int, filter_columns: int) -> npt.NDArray[np.uint8]:
    """(4, 16) of uint8: for each place of the filter's first row the weight of each byte.

    Byte 4 * column + place of a window belongs to the filter's row (place - first) modulo 4. The
    weights of a channel are (rows, columns) and then a 0, for what is outside of the filter.
    """
    first, column, place = np.ogrid[:WINDOW, :WINDOW, :WINDOW]
    row = (place - first) % WINDOW
    inside = (row < filter_rows) & (column < filter_columns)
    offsets = np.where(inside, row * filter_columns + column, filter_rows * filter_columns)
    return offsets.reshape(WINDOW, WINDOW * WINDOW).astype(np.uint8)


def pack_weights(weights: Int64Array) -> Int8Values:
    """(channels, taps + 1) of int8 from (channels, taps): a 0 behind each channel's weights.

    There are as many channels as a multiple of four; those that are missing have weights of 0.
    """
    count, taps = weights.shape
    packed = np.zeros((round_up(count, MVE_PANEL_CHANNELS), taps + 1), np.int8)
    packed[:count, :taps] = weights
    return packed


def unpack_weights(packed: Int8Values, channels: int) -> Int64Array:
    """The inverse of `pack_weights`: (channels, taps)."""
    return packed[:channels, :-1].astype(np.int64)


def group_parameters(scaling: Scaling) -> Int64Array:
    """(groups of four channels, 12): four biases, four multipliers, four right shifts, negative."""
    values = np.stack([scaling.bias, scaling.multiplier, -scaling.right_shift])
    count = values.shape[1]
    padded = np.pad(values, ((0, 0), (0, round_up(count, MVE_PANEL_CHANNELS) - count)))
    return np.ascontiguousarray(padded.reshape(3, -1, MVE_PANEL_CHANNELS).transpose(1, 0, 2))


def _call(graph: Graph, step: Step, op: DepthwiseConv2D) -> Call:
    channels = _channels(graph, op)
    assert channels is not None, "only layers of its kernel are called"
    assert step.scratch is not None, "they have some"
    scaling = scaling_of(channels, graph.tensors[op.output].zero_point)
    _, rows, columns, count = graph.tensors[op.input].shape
    _, out_rows, out_columns, _ = graph.tensors[op.output].shape
    _, filter_rows, filter_columns, _ = graph.tensors[op.weights].shape
    top, left = op.padding.top, op.padding.left
    offsets = array(
        f"depthwise_offsets_{filter_rows}x{filter_columns}",
        "uint8_t",
        weight_offsets(filter_rows, filter_columns),
        f"weights of a filter of {filter_rows}x{filter_columns} in windows of four rows",
    )
    numbers = {
        "weight_bytes": filter_rows * filter_columns + 1,
        "plane_bytes": _plane_bytes(graph, op),
        "moved_columns": max(0, min(columns, _plane_columns(graph, op) - left)),
        "block": step.scratch.size_bytes // _plane_bytes(graph, op),
        "rows": rows,
        "columns": columns,
        "channels": count,
        "filter_rows": filter_rows,
        "row_stride": op.stride[0],
        "top": top,
        "left": left,
        "out_rows": out_rows,
        "out_columns": out_columns,
        "padding": graph.tensors[op.input].zero_point,
        "zero": scaling.zero,
    }
    call = job_call(
        graph,
        step,
        op,
        function=_NAME,
        fields=(
            Field("kernel", f"mve_depthwise_row_{op.stride[1]}"),
            Field("offsets", offsets.name),
            *(Field(name, value) for name, value in numbers.items()),
        ),
        arrays=(
            ("weights", "int8_t", pack_weights(channels.weights)),
            ("parameters", "int32_t", group_parameters(scaling)),
        ),
        clamp=channels.clamp,
        window=(f"filter {size_text((filter_rows, filter_columns))}", *stride_text(op.stride)),
    )
    return replace(call, constants=(*call.constants, offsets))


def _weight_bytes(graph: Graph, op: DepthwiseConv2D) -> int:
    _, rows, columns, channels = graph.tensors[op.weights].shape
    return round_up(channels, MVE_PANEL_CHANNELS) * (rows * columns + 1 + 12)


KERNELS = (TunedKernel(name=_NAME, kernels=_kernels, call=_call, weight_bytes=_weight_bytes),)
