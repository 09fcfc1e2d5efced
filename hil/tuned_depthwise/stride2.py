"""DepthwiseConv2D with a filter of 3x3 and stride 2, on cores with DSP."""

from __future__ import annotations

from collections.abc import Iterator

from compress.ops import DepthwiseConv2D
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

_NAME = "depthwise_3x3_stride2"
# Cells of 12 bytes that are packed at a time: more would save few calls.
_CELLS = (128, 64, 0)


def channels_of_stride2(graph: Graph, op: DepthwiseConv2D) -> Channels | None:
    """The channels of a layer that the kernel computes exactly; None for another."""
    if graph.tensors[op.weights].shape[1:3] != (3, 3) or op.stride != (2, 2):
        return None
    _, *sizes, _ = graph.tensors[op.input].shape
    _, *outputs, _ = graph.tensors[op.output].shape
    before = (op.padding.top, op.padding.left)
    for size, count, padding in zip(sizes, outputs, before, strict=True):
        missing = 2 * (count - 1) - padding + 3 - size
        if padding > 1 or missing > 1:
            return None
    return depthwise_channels(graph, op)


def _rows(graph: Graph, op: DepthwiseConv2D) -> tuple[int, ...]:
    """Rows of outputs that may be packed at a time, the fastest first."""
    _, height, width, _ = graph.tensors[op.output].shape
    return even_turns(height, (max(1, cells // (width + 1)) for cells in _CELLS))


def _scratch_bytes(rows: int, width: int) -> int:
    return 12 * rows * (width + 1) + 12


def _kernels(graph: Graph, op: DepthwiseConv2D, board: Board) -> Iterator[Kernel]:
    if not has_dsp(board) or channels_of_stride2(graph, op) is None:
        return
    width = graph.tensors[op.output].shape[2]
    for rows in _rows(graph, op):
        yield Kernel(
            _NAME,
            scratch_bytes=_scratch_bytes(rows, width),
            # A channel at a time, outputs 0 to n * out_width - 1 are written when rows up to
            # 2 * n - top were read: out_width <= width, so that pixels to come lie behind them.
            lead_bytes=SAME_BYTE,
        )


def _call(graph: Graph, step: Step, op: DepthwiseConv2D) -> Call:
    channels = channels_of_stride2(graph, op)
    assert channels is not None, "only layers of its kernel are called"
    _, height, width, count = graph.tensors[op.input].shape
    _, out_height, out_width, _ = graph.tensors[op.output].shape
    room = room_bytes(step)
    rows = next(n for n in _rows(graph, op) if _scratch_bytes(n, out_width) <= room)
    relu = "_relu" if rises_from_least(graph, op, channels) else ""
    return job_call(
        graph,
        step,
        op,
        function=_NAME,
        fields=(
            Field("store", f"depthwise_store_stride2{relu}"),
            Field("height", height),
            Field("width", width),
            Field("channels", count),
            Field("out_height", out_height),
            Field("out_width", out_width),
            Field("top", op.padding.top),
            Field("left", op.padding.left),
            Field("padding", graph.tensors[op.input].zero_point),
            Field("rows", rows),
        ),
        arrays=(("records", "uint32_t", pack_records(channels)),),
        clamp=channels.clamp,
        window=("filter 3x3", "stride 2x2"),
    )


KERNELS = (TunedKernel(name=_NAME, kernels=_kernels, call=_call, weight_bytes=record_bytes),)
