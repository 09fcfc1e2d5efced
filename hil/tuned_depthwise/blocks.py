"""DepthwiseConv2D with a filter of 3x3, stride 1 and padding 1, on cores with DSP."""

from __future__ import annotations

from collections.abc import Iterator

from compress.ops import DepthwiseConv2D, Padding
from compress.types import Graph
from hil.kernel_interface.call import Call
from hil.kernel_interface.operator_kernels import SAME_BYTE, Kernel, TunedKernel
from hil.tuned.calls import Field, job_call, room_bytes
from hil.tuned.cores import has_dsp
from hil.tuned.requantize import Channels
from hil.tuned_depthwise.records import (
    depthwise_channels,
    even_turns,
    pack_records,
    record_bytes,
    rises_from_least,
)
from hil.types import Board, Step

_NAME = "depthwise_3x3"
# Cells of 8 bytes that are packed at a time: more would save few calls.
_CELLS = (160, 96, 48, 0)


def plain_channels(graph: Graph, op: DepthwiseConv2D) -> Channels | None:
    """The channels of a layer with this filter that sums compute exactly; None for another."""
    if graph.tensors[op.weights].shape[1:3] != (3, 3) or op.stride != (1, 1):
        return None
    return depthwise_channels(graph, op) if op.padding == Padding(1, 1, 1, 1) else None


def _pairs(graph: Graph, op: DepthwiseConv2D) -> tuple[int, ...]:
    """Pairs of rows that may be packed at a time, the fastest first."""
    _, height, width, _ = graph.tensors[op.output].shape
    pairs = (height + 1) // 2
    return even_turns(pairs, (max(1, cells // (width + 1) - 1) for cells in _CELLS))


def scratch_bytes(pairs: int, width: int) -> int:
    return 8 * (pairs + 1) * (width + 1) + 4


def _kernels(graph: Graph, op: DepthwiseConv2D, board: Board) -> Iterator[Kernel]:
    if not has_dsp(board) or plain_channels(graph, op) is None:
        return
    width = graph.tensors[op.output].shape[2]
    for pairs in _pairs(graph, op):
        yield Kernel(
            _NAME,
            scratch_bytes=scratch_bytes(pairs, width),
            # A channel at a time, a pixel is written after its row and the next were read.
            lead_bytes=SAME_BYTE,
        )


def _call(graph: Graph, step: Step, op: DepthwiseConv2D) -> Call:
    channels = plain_channels(graph, op)
    assert channels is not None, "only layers of its kernel are called"
    _, height, width, count = graph.tensors[op.output].shape
    room = room_bytes(step)
    pairs = next(n for n in _pairs(graph, op) if scratch_bytes(n, width) <= room)
    relu = "_relu" if rises_from_least(graph, op, channels) else ""
    return job_call(
        graph,
        step,
        op,
        function=_NAME,
        fields=(
            Field("store", f"depthwise_store{relu}"),
            Field("height", height),
            Field("width", width),
            Field("channels", count),
            Field("padding", graph.tensors[op.input].zero_point),
            Field("pairs", pairs),
        ),
        arrays=(("records", "uint32_t", pack_records(channels)),),
        clamp=channels.clamp,
        window=("filter 3x3",),
    )


KERNELS = (TunedKernel(name=_NAME, kernels=_kernels, call=_call, weight_bytes=record_bytes),)
