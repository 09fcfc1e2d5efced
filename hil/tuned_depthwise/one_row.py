"""A row of outputs of a DepthwiseConv2D with a filter of 3x3 and stride 1, on cores with DSP."""

from __future__ import annotations

from collections.abc import Iterator

from compress.ops import DepthwiseConv2D, Padding
from compress.types import Graph
from hil.kernel_interface.call import Call
from hil.kernel_interface.operator_kernels import Kernel, TunedKernel
from hil.tuned.calls import Field, job_call
from hil.tuned.cores import has_dsp
from hil.tuned.requantize import Channels
from hil.tuned_depthwise.records import (
    depthwise_channels,
    pack_records,
    record_bytes,
    rises_from_least,
)
from hil.types import Board, Step

_NAME = "depthwise_row"


def _channels(graph: Graph, op: DepthwiseConv2D) -> Channels | None:
    """The channels of a layer of three rows of inputs; None for another layer."""
    if graph.tensors[op.weights].shape[1:3] != (3, 3) or op.stride != (1, 1):
        return None
    if graph.tensors[op.input].shape[1] != 3 or op.padding != Padding(0, 0, 1, 1):
        return None
    return depthwise_channels(graph, op)


def _kernels(graph: Graph, op: DepthwiseConv2D, board: Board) -> Iterator[Kernel]:
    if has_dsp(board) and _channels(graph, op) is not None:
        yield Kernel(_NAME)


def _call(graph: Graph, step: Step, op: DepthwiseConv2D) -> Call:
    channels = _channels(graph, op)
    assert channels is not None, "only layers of its kernel are called"
    _, _, width, count = graph.tensors[op.input].shape
    return job_call(
        graph,
        step,
        op,
        function=_NAME,
        fields=(
            Field("width", width),
            Field("channels", count),
            Field("padding", graph.tensors[op.input].zero_point),
            Field("relu", int(rises_from_least(graph, op, channels))),
        ),
        arrays=(("records", "uint32_t", pack_records(channels)),),
        clamp=channels.clamp,
        window=("filter 3x3",),
    )


KERNELS = (
    TunedKernel(
        name=_NAME, kernels=_kernels, call=_call, weight_bytes=record_bytes, saves_ram=True
    ),
)
