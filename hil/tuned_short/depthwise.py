"""DepthwiseConv2D with a filter of 3x3 and any stride and padding: depthwise_short.c."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from compress.ops import DepthwiseConv2D
from compress.types import Graph
from hil.kernel_interface.call import Call, Words, stride_text
from hil.kernel_interface.operator_kernels import SAME_BYTE, Kernel, TunedKernel
from hil.tuned.calls import Field, job_call
from hil.tuned.cores import has_dsp
from hil.tuned.requantize import Channels
from hil.tuned_depthwise.records import depthwise_channels
from hil.tuned_short.scales import SCALE_BYTES, odd_zero_point, pack_scales
from hil.types import Board, Step

_NAME = "depthwise_short"
_TAPS = 9
_MOST = 2**16 - 1  # the record counts in uint16_t


@dataclass(frozen=True, slots=True)
class _Map:
    """The padded map of a channel in half-words: `pitch` of a row, `first` of the input, all."""

    pitch: int
    first: int
    size: int


def _map_of(graph: Graph, op: DepthwiseConv2D) -> _Map:
    """It holds the input, and all that windows reach."""
    _, height, width, _ = graph.tensors[op.input].shape
    _, out_height, out_width, _ = graph.tensors[op.output].shape
    rows = max(op.padding.top + height, (out_height - 1) * op.stride[0] + 3)
    pitch = max(op.padding.left + width, (out_width - 1) * op.stride[1] + 3)
    return _Map(pitch, op.padding.top * pitch + op.padding.left, rows * pitch)


def _layer(graph: Graph, op: DepthwiseConv2D) -> tuple[Channels, Words, _Map] | None:
    """The channels, their scales and the map; None without a proof."""
    if graph.tensors[op.weights].shape[1:3] != (3, 3):
        return None
    channels = depthwise_channels(graph, op)
    if channels is None:
        return None
    scales = pack_scales(channels, graph.tensors[op.output].zero_point)
    room = _map_of(graph, op)
    if scales is None or max(room.size, len(channels.bias)) > _MOST:
        return None
    return channels, scales, room


def _kernels(graph: Graph, op: DepthwiseConv2D, board: Board) -> Iterator[Kernel]:
    if not has_dsp(board):
        return
    layer = _layer(graph, op)
    if layer is not None:
        # A channel is read before its outputs are written, to places of this channel only.
        yield Kernel(_NAME, 2 * layer[2].size, lead_bytes=SAME_BYTE)


def _call(graph: Graph, step: Step, op: DepthwiseConv2D) -> Call:
    layer = _layer(graph, op)
    assert layer is not None, "only layers of its kernel are called"
    channels, scales, room = layer
    _, height, width, count = graph.tensors[op.input].shape
    _, out_height, out_width, _ = graph.tensors[op.output].shape
    members = {
        "height": height,
        "width": width,
        "channels": count,
        "out_height": out_height,
        "out_width": out_width,
        "stride_y": op.stride[0],
        "stride_x": op.stride[1],
        "pitch": room.pitch,
        "first": room.first,
        "map": room.size,
        "padding": graph.tensors[op.input].zero_point,
        "odd": odd_zero_point(graph.tensors[op.output].zero_point),
    }
    return job_call(
        graph,
        step,
        op,
        function=_NAME,
        fields=[Field(name, value) for name, value in members.items()],
        arrays=(
            ("weights", "int8_t", channels.weights.astype(np.int8)),
            ("scales", "int32_t", scales.view(np.int32)),
        ),
        clamp=channels.clamp,
        window=("filter 3x3", *stride_text(op.stride)),
    )


def _weight_bytes(graph: Graph, op: DepthwiseConv2D) -> int:
    return (_TAPS + SCALE_BYTES) * graph.tensors[op.output].shape[3]


KERNELS = (
    TunedKernel(
        name=_NAME, kernels=_kernels, call=_call, weight_bytes=_weight_bytes, saves_flash=True
    ),
)
