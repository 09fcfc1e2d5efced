"""DepthwiseConv2D with a filter of 3x3, stride 1 and padding 1, of narrow maps, on cores with DSP.

Each shape has an instance of depthwise_map.S, which packs whole channels.
"""

from __future__ import annotations

from collections.abc import Iterator

from compress.ops import DepthwiseConv2D
from compress.types import Graph
from hil.kernel_interface.call import Call, Instance
from hil.kernel_interface.operator_kernels import SAME_BYTE, Kernel, TunedKernel
from hil.tuned.calls import Field, job_call
from hil.tuned.cores import has_dsp
from hil.tuned_depthwise.blocks import plain_channels
from hil.tuned_depthwise.records import pack_records, record_bytes, rises_from_least
from hil.types import Board, Step

_NAME = "depthwise_map"
# Wider rows gain little and take much code.
_WIDEST = 8
# Of two rows: the largest constant that one instruction adds to an address.
_LARGEST_OFFSET = 4095
# Of scratch: longer maps are packed a block at a time.
_MOST_BYTES = 1024


def _kernels(graph: Graph, op: DepthwiseConv2D, board: Board) -> Iterator[Kernel]:
    if not has_dsp(board) or plain_channels(graph, op) is None:
        return
    _, height, width, count = graph.tensors[op.output].shape
    pairs = (height + 1) // 2
    size_bytes = 8 * (pairs + 1) * width
    if width > _WIDEST or 2 * width * count > _LARGEST_OFFSET or size_bytes > _MOST_BYTES:
        return
    # A channel at a time, all inputs are read before outputs are written.
    yield Kernel(_NAME, scratch_bytes=size_bytes, lead_bytes=SAME_BYTE)


def _call(graph: Graph, step: Step, op: DepthwiseConv2D) -> Call:
    channels = plain_channels(graph, op)
    assert channels is not None, "only layers of its kernel are called"
    _, height, width, count = graph.tensors[op.output].shape
    relu = rises_from_least(graph, op, channels)
    macros = (("HEIGHT", height), ("WIDTH", width), ("STEP", count), ("RELU", int(relu)))
    name = f"depthwise_map_{height}x{width}x{count}{'_relu' if relu else ''}"
    return job_call(
        graph,
        step,
        op,
        function=_NAME,
        fields=(
            Field("kernel", name),
            Field("channels", count),
            Field("padding", graph.tensors[op.input].zero_point),
        ),
        arrays=(("records", "uint32_t", pack_records(channels)),),
        instances=(Instance(name, "depthwise_map_kernel", "depthwise_map.S", macros),),
        clamp=channels.clamp,
        window=("filter 3x3",),
    )


KERNELS = (TunedKernel(name=_NAME, kernels=_kernels, call=_call, weight_bytes=record_bytes),)
