"""Panels: weights of four output channels in the order in which a micro-kernel reads them.

With DSP instructions two channels share a half-word, a + 256 * b: SMLAD with it adds
x * (a + 256 * b), SXTB16 leaves a, and the sum of x * b is what is left, shifted by 8. That is
exact while the sum of |x * b| stays below 2**23.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hil.kernel_interface.call import Words
from hil.tuned.requantize import Channels, Int64Array

Pairs = Sequence[tuple[int, int]]

PANEL_CHANNELS = 4
# The kernels add products of int8 inputs, at most 128, to sums below 2**23.
_LARGEST_SUM = 2**23 // 128


def swapped_order(taps: int) -> list[tuple[int, int]]:
    """Pairs of taps as SXTB16 takes them out of words of four: (0, 2), (1, 3). 4 divides `taps`."""
    return [pair for i in range(0, taps, 4) for pair in ((i, i + 2), (i + 1, i + 3))]


def natural_order(taps: int) -> list[tuple[int, int]]:
    """Pairs of neighboring taps. 2 divides `taps`."""
    return [(i, i + 1) for i in range(0, taps, 2)]


def fit_panels(channels: Channels) -> bool:
    """True if two channels can share a half-word: see the module's docstring."""
    count, _ = channels.weights.shape
    if count < PANEL_CHANNELS:
        return False
    sums = np.abs(channels.weights).sum(1)
    halves = _halves(channels.weights[panel_rows(count)])
    return bool(sums.max() < _LARGEST_SUM and halves.min() >= -(2**15) and halves.max() < 2**15)


def panel_rows(channels: int) -> Int64Array:
    """The channel of each row of the panels: the last panel ends at the last channel."""
    starts = [min(start, channels - PANEL_CHANNELS) for start in range(0, channels, PANEL_CHANNELS)]
    return np.concatenate([np.arange(start, start + PANEL_CHANNELS) for start in starts])


def _halves(weights: Int64Array) -> Int64Array:
    """a + 256 * b of neighboring rows: (rows / 2, taps)."""
    return weights[0::2] + 256 * weights[1::2]


def pack_panels(weights: Int64Array, order: Pairs) -> Words:
    """(panels, pairs, 2) words: for each pair of taps that of channels 0 and 1, that of 2 and 3.

    The lower half of a word belongs to the first tap of the pair. `weights` is (channels, taps).
    """
    halves = _halves(weights[panel_rows(len(weights))]).astype(np.uint16)
    first, second = np.array(order, np.int64).T
    words = halves[:, first].astype(np.uint32) | halves[:, second].astype(np.uint32) << 16
    pairs = len(order)
    return np.ascontiguousarray(words.reshape(-1, 2, pairs).transpose(0, 2, 1))


def unpack_panels(words: Words, channels: int, order: Pairs) -> Int64Array:
    """The inverse of `pack_panels`: (channels, taps)."""
    by_half = words.transpose(0, 2, 1).reshape(-1, len(order))
    halves = np.empty((len(by_half), 2 * len(order)), np.int64)
    first, second = np.array(order, np.int64).T
    halves[:, first] = (by_half & 0xFFFF).astype(np.uint16).astype(np.int16)
    halves[:, second] = (by_half >> 16).astype(np.uint16).astype(np.int16)
    low = (halves & 0xFF).astype(np.uint8).astype(np.int8).astype(np.int64)
    rows = np.stack([low, (halves - low) >> 8], axis=1).reshape(2 * len(halves), -1)
    weights = np.empty((channels, rows.shape[1]), np.int64)
    weights[panel_rows(channels)] = rows
    return weights


def panel_parameters(channels: Channels) -> Int64Array:
    """(panels, 16): four biases, then factor, constant and right shift of each channel."""
    rows = panel_rows(len(channels.bias))
    scales = np.stack([channels.factor, channels.constant, channels.right_shift], axis=1)[rows]
    biases = channels.bias[rows].reshape(-1, PANEL_CHANNELS)
    return np.concatenate([biases, scales.reshape(len(biases), -1)], axis=1)
