"""DepthwiseConv2D with a filter of 3x3 and stride 2 of maps with short rows, on cores with DSP.

Each shape of rows has an instance of depthwise_direct.S, which reads the map where it is.
"""

from __future__ import annotations

from collections.abc import Iterator

from compress.ops import DepthwiseConv2D
from compress.types import Graph
from hil.kernel_interface.call import Call, Instance
from hil.kernel_interface.operator_kernels import SAME_BYTE, Kernel, TunedKernel
from hil.tuned.calls import Field, job_call, room_bytes
from hil.tuned.cores import has_dsp
from hil.tuned_depthwise.records import pack_records, record_bytes, rises_from_least
from hil.tuned_depthwise.stride2 import channels_of_stride2
from hil.types import Board, Step

_NAME = "depthwise_direct"
# Two rows, or one and nine pixels: the largest constant of an instruction's address.
_LARGEST_OFFSET = 4095
# Sums that are kept at a time; fewer where RAM is short.
_SUMS = (64, 0)


def _fits(graph: Graph, op: DepthwiseConv2D) -> bool:
    _, height, width, count = graph.tensors[op.input].shape
    return height > 1 and count * max(2 * width, width + 9) <= _LARGEST_OFFSET


def _rows(graph: Graph, op: DepthwiseConv2D) -> tuple[int, ...]:
    """Rows of outputs whose sums may be kept at a time, the fastest first."""
    _, height, width, _ = graph.tensors[op.output].shape
    most = [max(1, sums // width) for sums in _SUMS]
    return tuple(dict.fromkeys(min(height, count) for count in most))


def _kernels(graph: Graph, op: DepthwiseConv2D, board: Board) -> Iterator[Kernel]:
    if not has_dsp(board) or channels_of_stride2(graph, op) is None or not _fits(graph, op):
        return
    width = graph.tensors[op.output].shape[2]
    for rows in _rows(graph, op):
        yield Kernel(
            _NAME,
            scratch_bytes=4 * rows * width,
            # As depthwise_stride2: rows are read before outputs reach them.
            lead_bytes=SAME_BYTE,
        )


def _missing(size: int, outputs: int, before: int) -> int:
    """1 if the last window has padding behind the map."""
    return int(2 * (outputs - 1) - before + 3 > size)


def _call(graph: Graph, step: Step, op: DepthwiseConv2D) -> Call:
    channels = channels_of_stride2(graph, op)
    assert channels is not None, "only layers of its kernel are called"
    _, height, width, count = graph.tensors[op.input].shape
    _, out_height, out_width, _ = graph.tensors[op.output].shape
    room = room_bytes(step)
    left, right = op.padding.left, _missing(width, out_width, op.padding.left)
    macros = (
        ("WIDTH", width),
        ("STEP", count),
        ("OUT_WIDTH", out_width),
        ("LEFT", left),
        ("RIGHT", right),
    )
    name = f"depthwise_direct_{'_'.join(str(value) for _, value in macros)}"
    relu = "_relu" if rises_from_least(graph, op, channels) else ""
    return job_call(
        graph,
        step,
        op,
        function=_NAME,
        fields=(
            Field("kernel", name),
            Field("store", f"depthwise_run{relu}"),
            Field("row", width * count),
            Field("channels", count),
            Field("out_height", out_height),
            Field("out_width", out_width),
            Field("top", op.padding.top),
            Field("bottom", _missing(height, out_height, op.padding.top)),
            Field("padding", graph.tensors[op.input].zero_point),
            Field("rows", next(n for n in _rows(graph, op) if 4 * n * out_width <= room)),
        ),
        arrays=(("records", "uint32_t", pack_records(channels)),),
        instances=(Instance(name, "depthwise_direct_kernel", "depthwise_direct.S", macros),),
        clamp=channels.clamp,
        window=("filter 3x3", "stride 2x2"),
    )


KERNELS = (TunedKernel(name=_NAME, kernels=_kernels, call=_call, weight_bytes=record_bytes),)
