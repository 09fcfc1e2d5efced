"""Conv2D with any filter on cores without DSP, two pixels at a time: conv_scalar.c."""

from __future__ import annotations

import numpy as np

from compress.ops import Conv2D
from compress.types import Graph
from hil.kernel_interface.call import Call, size_text, stride_text
from hil.kernel_interface.operator_kernels import Kernel, TunedKernel
from hil.tuned.calls import Field, job_call
from hil.tuned.cores import is_scalar
from hil.tuned.requantize import Channels, channels_of
from hil.tuned_scalar.pairs import channel_parameters, fit_pairs, pack_pairs, paired_channels
from hil.tuned_scalar.windows import FilterWindows, windows_of
from hil.types import Board, Step

_NAME = "conv_scalar"


def _channels(graph: Graph, op: Conv2D) -> Channels | None:
    """The channels of a convolution that is computed exactly; None for another."""
    data = graph.tensors[op.weights].data
    if data is None or graph.tensors[op.weights].dtype != "int8":
        return None
    units, _, _, depth = data.shape
    if units < 2 or depth != graph.tensors[op.input].shape[3]:
        return None
    channels = channels_of(graph, op, data.reshape(units, -1).astype(np.int64))
    return channels if channels is not None and fit_pairs(channels) else None


def _pairs(graph: Graph, op: Conv2D) -> int:
    """Pairs of inputs in a window."""
    _, rows, columns, depth = graph.tensors[op.weights].shape
    return -(-rows * columns * depth // 2)


def _border_bytes(graph: Graph, op: Conv2D) -> int:
    _, _, columns, depth = graph.tensors[op.weights].shape
    return columns * depth if windows_of(graph, op).leave_input else 0


def _lead_bytes(graph: Graph, windows: FilterWindows) -> int:
    """A pair of pixels is read, then written. The inputs of later pairs must be left by then."""
    depth, units = windows.depth, graph.tensors[windows.output].shape[3]
    first = windows.first_inputs() * depth
    ends = np.minimum(np.arange(2, len(first) + 2, 2), len(first)) * units
    later = np.minimum.accumulate(first[::-1])[::-1][2::2]
    return max(0, int((ends[: len(later)] - later).max(initial=0)))


def _kernels(graph: Graph, op: Conv2D, board: Board) -> tuple[Kernel, ...]:
    if not is_scalar(board) or _channels(graph, op) is None:
        return ()
    scratch = 8 * _pairs(graph, op) + _border_bytes(graph, op)
    lead = _lead_bytes(graph, windows_of(graph, op))
    return (Kernel(_NAME, scratch_bytes=scratch, lead_bytes=lead),)


def _call(graph: Graph, step: Step, op: Conv2D) -> Call:
    channels = _channels(graph, op)
    assert channels is not None, "only layers of its kernel are called"
    _, rows, columns, depth = graph.tensors[op.input].shape
    _, out_rows, out_columns, units = graph.tensors[op.output].shape
    filter_rows, filter_columns = graph.tensors[op.weights].shape[1:3]
    return job_call(
        graph,
        step,
        op,
        function=_NAME,
        fields=(
            Field("rows", rows),
            Field("columns", columns),
            Field("depth", depth),
            Field("pixels", out_rows * out_columns),
            Field("out_columns", out_columns),
            Field("channels", units),
            Field("filter_rows", filter_rows),
            Field("filter_columns", filter_columns),
            Field("stride_rows", op.stride[0]),
            Field("stride_columns", op.stride[1]),
            Field("dilation_rows", op.dilation[0]),
            Field("dilation_columns", op.dilation[1]),
            Field("top", op.padding.top),
            Field("left", op.padding.left),
            Field("pairs", _pairs(graph, op)),
            Field("border_bytes", _border_bytes(graph, op)),
            Field("zero_point", graph.tensors[op.input].zero_point),
        ),
        arrays=(
            ("weights", "uint32_t", pack_pairs(channels.weights)),
            (
                "parameters",
                "int32_t",
                channel_parameters(channels)[paired_channels(units)],
            ),
        ),
        clamp=channels.clamp,
        window=(f"filter {size_text((filter_rows, filter_columns))}", *stride_text(op.stride)),
    )


def _weight_bytes(graph: Graph, op: Conv2D) -> int:
    units = graph.tensors[op.weights].shape[0]
    return len(paired_channels(units)) * (2 * _pairs(graph, op) + 16)


CONVOLUTION_KERNEL = TunedKernel(
    name=_NAME, kernels=_kernels, call=_call, weight_bytes=_weight_bytes
)
