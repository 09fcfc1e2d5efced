"""Weights for two pixels at a time on cores without DSP, and the proof that their sums hold.

A word holds one input of two pixels, x0 + 65536 * x1. Multiplied by a weight it has both products
in its halves, which hold the sum of two such words: |x * w| is at most 2**14. Then they are split.
"""

from __future__ import annotations

import numpy as np

from compress.arithmetic.fixedpoint import INT8_MAX, INT8_MIN
from hil.kernel_interface.call import Words
from hil.tuned.requantize import Channels, Int64Array

# Requantization without a long multiplication holds below it: high_rounded in scalar.h.
_SUM_LIMIT = 2**29


def fit_pairs(channels: Channels) -> bool:
    """True if the sum of any two neighboring products stays in int16 and that of all in 30 bits."""
    taps = even_taps(channels.weights)
    largest = np.maximum(taps * INT8_MIN, taps * INT8_MAX)
    smallest = np.minimum(taps * INT8_MIN, taps * INT8_MAX)
    highest, lowest = (bound.reshape(len(taps), -1, 2).sum(2) for bound in (largest, smallest))
    return bool(highest.max() < 2**15 and lowest.min() >= -(2**15)) and sums_fit(channels)


def sums_fit(channels: Channels) -> bool:
    """True if `requantized` in scalar.h takes every sum of the layer."""
    reach = np.abs(channels.bias) - INT8_MIN * np.abs(channels.weights).sum(1)
    return bool(reach.max() < _SUM_LIMIT)


def paired_channels(channels: int) -> Int64Array:
    """The channel of each row of `pack_pairs`: the last of an odd number has its neighbor."""
    starts = [min(start, channels - 2) for start in range(0, channels, 2)]
    return np.concatenate([np.arange(start, start + 2) for start in starts])


def even_taps(weights: Int64Array) -> Int64Array:
    """(channels, taps), with a tap of 0 where their number is odd."""
    return np.pad(weights, ((0, 0), (0, weights.shape[1] % 2)))


def pack_pairs(weights: Int64Array) -> Words:
    """(pairs of channels, pairs of taps) words from (channels, taps).

    The bytes of a word, the lowest first, are both taps of a channel, then of the next.
    """
    rows = even_taps(weights)[paired_channels(len(weights))]
    packed = rows.reshape(len(rows) // 2, 2, -1, 2).transpose(0, 2, 1, 3)
    words = np.ascontiguousarray(packed.astype(np.int8)).reshape(*packed.shape[:2], 4)
    return words.view("<u4")[:, :, 0]


def unpack_pairs(packed: Words, channels: int, taps: int) -> Int64Array:
    """The inverse of `pack_pairs`: (channels, taps)."""
    by_word = np.ascontiguousarray(packed).view(np.int8).reshape(*packed.shape, 2, 2)
    rows = by_word.transpose(0, 2, 1, 3).reshape(2 * len(packed), -1).astype(np.int64)
    weights = np.empty((channels, rows.shape[1]), np.int64)
    weights[paired_channels(channels)] = rows
    return weights[:, :taps]


def channel_parameters(channels: Channels) -> Int64Array:
    """(channels, 4): bias, factor, constant and right shift."""
    columns = (channels.bias, channels.factor, channels.constant, channels.right_shift)
    return np.stack(columns, axis=1)
