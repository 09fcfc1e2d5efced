"""DepthwiseConv2D with any filter, stride and padding, on cores with DSP: depthwise_rows.c."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from compress.ops import DepthwiseConv2D
from compress.types import Graph
from hil.kernel_interface.call import Call, Words, size_text, stride_text
from hil.kernel_interface.limits import round_up
from hil.kernel_interface.operator_kernels import SAME_BYTE, Kernel, TunedKernel
from hil.tuned.calls import Field, job_call
from hil.tuned.cores import has_dsp
from hil.tuned.requantize import Channels, Int64Array
from hil.tuned_depthwise.blocks import plain_channels
from hil.tuned_depthwise.records import (
    depthwise_channels,
    mantissas,
    rises_from_least,
)
from hil.tuned_depthwise.stride2 import channels_of_stride2
from hil.types import Board, Step

_NAME = "depthwise_rows"
_AT_ONCE = 4  # outputs
_SCALE_WORDS = 4


@dataclass(frozen=True, slots=True)
class WindowAxis:
    """One axis of a layer: extents of input, output and filter, stride, padding before, bytes."""

    size: int
    outputs: int
    taps: int
    stride: int
    before: int
    in_bytes: int
    out_bytes: int


def _axes(graph: Graph, op: DepthwiseConv2D) -> tuple[WindowAxis, WindowAxis]:
    """The axes that the kernel takes for rows and columns."""
    down, along = _own_axes(graph, op)
    return (along, down) if is_turned(graph, op) else (down, along)


def _own_axes(graph: Graph, op: DepthwiseConv2D) -> tuple[WindowAxis, WindowAxis]:
    """The tensor's rows and columns."""
    _, height, width, count = graph.tensors[op.input].shape
    _, out_height, out_width, _ = graph.tensors[op.output].shape
    _, rows, columns, _ = graph.tensors[op.weights].shape
    pad, stride = op.padding, op.stride
    down = WindowAxis(
        height, out_height, rows, stride[0], pad.top, width * count, out_width * count
    )
    return down, WindowAxis(width, out_width, columns, stride[1], pad.left, count, count)


def _products(rows: WindowAxis, along: WindowAxis) -> int:
    """Multiplications of pairs of taps for a channel: four outputs at once, rows of even length."""
    return rows.outputs * round_up(along.outputs, _AT_ONCE) * rows.taps * ((along.taps + 1) // 2)


def is_turned(graph: Graph, op: DepthwiseConv2D) -> bool:
    """True if the kernel's rows are the tensor's columns: where that takes fewer products."""
    down, along = _own_axes(graph, op)
    return _products(along, down) < _products(down, along)


def _pitch(along: WindowAxis) -> int:
    """Columns of an expanded row: all that sums read, of four outputs and of pairs of taps."""
    last = (round_up(along.outputs, _AT_ONCE) - 1) * along.stride
    return round_up(max(along.before + along.size, last + round_up(along.taps, 2)), 2)


def _lead_bytes(graph: Graph, op: DepthwiseConv2D) -> int | None:
    """SAME_BYTE if no output is written over a pixel of its channel that is read later.

    After output row y all rows before the next unread one were read.
    """
    rows, along = _axes(graph, op)
    if is_turned(graph, op):
        same = (rows.size, along.size) == (rows.outputs, along.outputs)
        return SAME_BYTE if same and rows.stride == 1 and rows.before < rows.taps else None
    for y in range(rows.outputs):
        unread = y * rows.stride - rows.before + rows.taps
        if unread < rows.size and (y + 1) * rows.out_bytes > unread * rows.in_bytes:
            return None
    return SAME_BYTE


def _is_wanted(graph: Graph, op: DepthwiseConv2D, rows: WindowAxis, along: WindowAxis) -> bool:
    """False where CMSIS-NN's are faster; with 3x3 it is there for less code beside faster ones."""
    if (rows.taps, along.taps) == (3, 3):
        return plain_channels(graph, op) is not None or channels_of_stride2(graph, op) is not None
    return along.outputs >= _AT_ONCE


def _kernels(graph: Graph, op: DepthwiseConv2D, board: Board) -> Iterator[Kernel]:
    if not has_dsp(board) or depthwise_channels(graph, op) is None:
        return
    rows, along = _axes(graph, op)
    if not _is_wanted(graph, op, rows, along):
        return
    yield Kernel(
        _NAME,
        scratch_bytes=2 * (rows.taps + 1) * _pitch(along) + 4 * rows.taps,
        lead_bytes=_lead_bytes(graph, op),
    )


def filters(graph: Graph, op: DepthwiseConv2D, channels: Channels) -> Int64Array:
    """(channels, rows, columns) of the weights, transposed where the kernel's rows are columns."""
    _, rows, columns, count = graph.tensors[op.weights].shape
    weights = channels.weights.reshape(count, rows, columns)
    return weights.transpose(0, 2, 1) if is_turned(graph, op) else weights


def pack_rows(weights: Int64Array, channels: Channels) -> Words:
    """(channels, words): pairs of doubled weights of a row, then bias, mantissa, constant, shift.

    `weights` is (channels, rows, columns). The first of a pair is in the lower half.
    """
    count, _, columns = weights.shape
    padded = np.pad(2 * weights, ((0, 0), (0, 0), (0, columns % 2))).astype("<i2")
    pairs = np.ascontiguousarray(padded.reshape(count, -1)).view("<u4")
    scales = (2 * channels.bias, mantissas(channels), channels.constant, channels.right_shift)
    tail = np.stack(scales, axis=1).astype(np.int32).view(np.uint32)
    return np.concatenate([pairs, tail], axis=1)


def unpack_rows(words: Words, rows: int, columns: int) -> Int64Array:
    """The inverse of `pack_rows`: the weights (channels, rows, columns)."""
    pairs = np.ascontiguousarray(words[:, :-_SCALE_WORDS]).view("<i2")
    doubled = pairs.reshape(len(words), rows, -1)[:, :, :columns].astype(np.int64)
    return doubled // 2


def _call(graph: Graph, step: Step, op: DepthwiseConv2D) -> Call:
    channels = depthwise_channels(graph, op)
    assert channels is not None, "only layers of its kernel are called"
    rows, along = _axes(graph, op)
    return job_call(
        graph,
        step,
        op,
        function=_NAME,
        fields=(
            Field("height", rows.size),
            Field("width", along.size),
            Field("channels", len(channels.bias)),
            Field("out_height", rows.outputs),
            Field("out_width", along.outputs),
            Field("filter_rows", rows.taps),
            Field("filter_columns", along.taps),
            Field("filter_words", rows.taps * round_up(along.taps, 2) // 2),
            Field("stride_y", rows.stride),
            Field("stride_x", along.stride),
            Field("top", rows.before),
            Field("left", along.before),
            Field("in_row", rows.in_bytes),
            Field("in_step", along.in_bytes),
            Field("out_row", rows.out_bytes),
            Field("out_step", along.out_bytes),
            Field("pitch", _pitch(along)),
            Field("padding", graph.tensors[op.input].zero_point),
            Field("relu", int(rises_from_least(graph, op, channels))),
        ),
        arrays=(("records", "uint32_t", pack_rows(filters(graph, op, channels), channels)),),
        clamp=channels.clamp,
        window=(
            f"filter {size_text(graph.tensors[op.weights].shape[1:3])}",
            *stride_text(op.stride),
        ),
    )


def _weight_bytes(graph: Graph, op: DepthwiseConv2D) -> int:
    rows, along = _axes(graph, op)
    words = rows.taps * round_up(along.taps, 2) // 2 + _SCALE_WORDS
    return 4 * words * graph.tensors[op.output].shape[3]


KERNELS = (TunedKernel(name=_NAME, kernels=_kernels, call=_call, weight_bytes=_weight_bytes),)
