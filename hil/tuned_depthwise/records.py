"""Depthwise filters of 3x3 as the kernels store them: 20 bytes for each channel."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from compress.ops import DepthwiseConv2D
from compress.types import Graph
from hil.kernel_interface.call import Words
from hil.tuned.requantize import Channels, Int64Array, channels_of

_RECORD_WORDS = 5
# The kernels double weights and biases, and so the sums: those stay in int32.
LARGEST_SUM = 2**30


def depthwise_channels(graph: Graph, op: DepthwiseConv2D) -> Channels | None:
    """The channels of a layer with multiplier 1 and int8 weights, if sums can be doubled."""
    weights = graph.tensors[op.weights]
    if weights.data is None or weights.dtype != "int8" or op.dilation != (1, 1):
        return None
    _, rows, columns, count = weights.shape
    if count != graph.tensors[op.input].shape[3]:
        return None
    taps = weights.data.reshape(rows * columns, count).T.astype(np.int64)
    channels = channels_of(graph, op, taps)
    if channels is None:
        return None
    sums = np.abs(channels.bias) + 128 * np.abs(channels.weights).sum(1)
    return channels if sums.max() < LARGEST_SUM else None


def rises_from_least(graph: Graph, op: DepthwiseConv2D, channels: Channels) -> bool:
    """True if all negative sums give the least result, as after ReLU: theirs may round anyhow."""
    least = -128 if channels.clamp is None else channels.clamp[0]
    return graph.tensors[op.output].zero_point <= least


def pack_records(channels: Channels) -> Words:
    """(channels, 5): the words of three columns, doubled bias, mantissa of each channel.

    A column's word holds its weights from the lowest byte on; the highest byte is the right shift
    in the first word, the zero point of the result in the second.
    """
    count = len(channels.bias)
    right = channels.right_shift
    zero_point = (channels.constant - (np.int64(1) << (right - 1))) >> right
    columns = np.zeros((count, 3, 4), np.int64)
    columns[:, :, :3] = channels.weights.reshape(count, 3, 3).transpose(0, 2, 1)
    columns[:, 0, 3], columns[:, 1, 3] = right, zero_point
    words = np.ascontiguousarray(columns.astype(np.int8)).view("<u4").reshape(count, 3)
    tail = np.stack([2 * channels.bias, mantissas(channels)], axis=1)
    return np.concatenate([words, tail.astype(np.int32).view(np.uint32)], axis=1)


def even_turns(count: int, most: Iterable[int]) -> tuple[int, ...]:
    """For each of `most`, how many of `count` are done at a time in as few turns, evenly."""
    turns = [-(-count // at_once) for at_once in most]
    return tuple(dict.fromkeys(-(-count // turn) for turn in turns))


def record_bytes(graph: Graph, op: DepthwiseConv2D) -> int:
    """Bytes of a layer's records."""
    return 4 * _RECORD_WORDS * graph.tensors[op.output].shape[3]


def mantissas(channels: Channels) -> Int64Array:
    """m of each channel: the result is (sum * m) >> 31, rounded, shifted to the right."""
    return (channels.factor + 2**32) // 2


def unpack_records(records: Words) -> tuple[Int64Array, Int64Array, Int64Array, Int64Array]:
    """The inverse of `pack_records`: weights (channels, 9), then bias, right shift, zero point."""
    count = len(records)
    columns = np.ascontiguousarray(records[:, :3]).view(np.int8).reshape(count, 3, 4)
    values = columns.astype(np.int64)
    bias = records[:, 3].view(np.int32).astype(np.int64) // 2
    weights = values[:, :, :3].transpose(0, 2, 1).reshape(count, 9)
    return weights, bias, values[:, 0, 3], values[:, 1, 3]
