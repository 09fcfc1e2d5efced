"""DepthwiseConv2D with any filter on cores without DSP, channel by channel: depthwise_scalar.c."""

from __future__ import annotations

import numpy as np

from compress.ops import DepthwiseConv2D
from compress.types import Graph
from hil.kernel_interface.call import Call, size_text, stride_text
from hil.kernel_interface.limits import round_up
from hil.kernel_interface.operator_kernels import Kernel, TunedKernel
from hil.tuned.calls import Field, job_call
from hil.tuned.cores import is_scalar
from hil.tuned.requantize import Channels, channels_of
from hil.tuned_scalar.pairs import channel_parameters, sums_fit
from hil.tuned_scalar.windows import FilterWindows, windows_of
from hil.types import Board, Step

_NAME = "depthwise_scalar"

# Outputs of a row that are summed at once.
_BLOCK = 3


def _channels(graph: Graph, op: DepthwiseConv2D) -> Channels | None:
    """The channels, weights (channels, taps), of a layer that is computed exactly; else None."""
    data = graph.tensors[op.weights].data
    if data is None or graph.tensors[op.weights].dtype != "int8":
        return None
    by_channel = data.reshape(-1, data.shape[3]).T.astype(np.int64)
    channels = channels_of(graph, op, np.ascontiguousarray(by_channel))
    return channels if channels is not None and sums_fit(channels) else None


def _slots(windows: FilterWindows) -> int:
    """Rows of the input that a window spans."""
    return (windows.rows.taps - 1) * windows.rows.dilation + 1


def _slot_bytes(windows: FilterWindows) -> int:
    """A row with its padding, and what the last block of outputs reads beyond."""
    axis = windows.columns
    last = (round_up(axis.outputs, _BLOCK) - 1) * axis.stride + (axis.taps - 1) * axis.dilation
    return max(last + 1, axis.before + axis.size)


def _lead_bytes(graph: Graph, windows: FilterWindows) -> int:
    """A row of outputs is written when the rows that it reads are in the rings."""
    rows, row_bytes = windows.rows, windows.columns.size * windows.depth
    out_row_bytes = windows.columns.outputs * graph.tensors[windows.output].shape[3]
    done = np.arange(1, rows.outputs, dtype=np.int64)  # but the last: it may write over all
    next_row = np.maximum(0, (done - 1) * rows.stride - rows.before + _slots(windows))
    ahead = done * out_row_bytes - next_row * row_bytes
    return max(0, int(ahead[next_row < rows.size].max(initial=0)))


def _kernels(graph: Graph, op: DepthwiseConv2D, board: Board) -> tuple[Kernel, ...]:
    if not is_scalar(board) or _channels(graph, op) is None:
        return ()
    windows = windows_of(graph, op)
    if not _stride_3x3(graph, op) and windows.columns.outputs < _BLOCK:
        return ()  # alone, outputs cost more than in the other kernels
    scratch = round_up(windows.depth * _slots(windows) * _slot_bytes(windows), 4)
    if not _stride_3x3(graph, op):
        scratch += 4 * windows.rows.taps * windows.columns.taps
    return (Kernel(_NAME, scratch_bytes=scratch, lead_bytes=_lead_bytes(graph, windows)),)


def _stride_3x3(graph: Graph, op: DepthwiseConv2D) -> int:
    """The stride of rows that have code of their own: filter 3x3, not dilated; 0 for others."""
    windows = windows_of(graph, op)
    rows, columns = windows.rows, windows.columns
    multiplier = graph.tensors[op.output].shape[3] // windows.depth
    plain = rows.taps == columns.taps == 3 and rows.dilation == columns.dilation == 1
    return columns.stride if plain and columns.stride <= 2 and multiplier == 1 else 0


def _call(graph: Graph, step: Step, op: DepthwiseConv2D) -> Call:
    channels, windows = _channels(graph, op), windows_of(graph, op)
    assert channels is not None, "only layers of its kernel are called"
    rows, columns = windows.rows, windows.columns
    units = len(channels.bias)
    return job_call(
        graph,
        step,
        op,
        function=_NAME,
        fields=(
            Field("rows", rows.size),
            Field("columns", columns.size),
            Field("channels", windows.depth),
            Field("out_rows", rows.outputs),
            Field("out_columns", columns.outputs),
            Field("out_channels", units),
            Field("multiplier", units // windows.depth),
            Field("filter_rows", rows.taps),
            Field("filter_columns", columns.taps),
            Field("stride_rows", rows.stride),
            Field("stride_columns", columns.stride),
            Field("dilation_rows", rows.dilation),
            Field("dilation_columns", columns.dilation),
            Field("top", rows.before),
            Field("left", columns.before),
            Field("slots", _slots(windows)),
            Field("slot_bytes", _slot_bytes(windows)),
            Field("zero_point", graph.tensors[op.input].zero_point),
            Field("stride_3x3", _stride_3x3(graph, op)),
        ),
        arrays=(
            ("weights", "int8_t", channels.weights),
            ("parameters", "int32_t", channel_parameters(channels)),
        ),
        clamp=channels.clamp,
        window=(f"filter {size_text((rows.taps, columns.taps))}", *stride_text(op.stride)),
    )


def _weight_bytes(graph: Graph, op: DepthwiseConv2D) -> int:
    _, rows, columns, units = graph.tensors[op.weights].shape
    return units * (rows * columns + 16)


DEPTHWISE_KERNEL = TunedKernel(name=_NAME, kernels=_kernels, call=_call, weight_bytes=_weight_bytes)
