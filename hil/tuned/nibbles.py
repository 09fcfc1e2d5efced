"""Panels of weights of four bits, which are used as they are stored.

A half-word is a + 16 * b + 256 * c + 4096 * d, of four channels' weights of one input, with 8 added
to a, b and c. Masks leave its lowest 4, 8 and 12 bits. SMLAD with these and with the whole adds
sums A, B, C and D, of which A, (B - A) >> 4, (C - B) >> 8 and (D - C) >> 12 are those of the
channels, the first three with 8 * x too much for each input. They begin with -8 times the sum of
the inputs, times 1, 17, 273 and 273, so that it is not there. That is exact while the differences
stay within int32. Where the inputs are added up less their zero point, the first three are 8 times
the zero point too much for each input.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compress.arithmetic.fixedpoint import INT4_MAX, INT4_MIN
from hil.kernel_interface.call import Words
from hil.tuned.panels import PANEL_CHANNELS, Pairs, panel_rows
from hil.tuned.requantize import Channels, Int64Array

BoolArray = npt.NDArray[np.bool_]

# Added to the weights of the first three channels, so that they have no sign.
OFFSET = 8
_PLACES = np.array([1, 16, 256, 4096]).reshape(1, PANEL_CHANNELS, 1)
# The kernels add products of int8 inputs, at most 128, and shift the differences by four bits a
# channel: sums of |x * weight| must be less than 2**31 then, with those of |8 * zero point|.
_LARGEST_SUMS = 2**31 // 128 // _PLACES.reshape(-1)


def fit_nibbles(channels: Channels) -> bool:
    """True if four channels can share a half-word: see the module's docstring."""
    weights = channels.weights
    if len(weights) < PANEL_CHANNELS or weights.min() < INT4_MIN or weights.max() > INT4_MAX:
        return False
    panels = weights[panel_rows(len(weights))].reshape(-1, PANEL_CHANNELS, weights.shape[1])
    largest = np.abs(panels) + np.array([OFFSET, OFFSET, OFFSET, 0]).reshape(1, -1, 1)
    return bool((largest.sum(2).max(0) < _LARGEST_SUMS).all())


def pack_nibbles(weights: Int64Array, order: Pairs, real: BoolArray | None = None) -> Words:
    """(panels, pairs) words: the lower half of each belongs to the first tap of the pair.

    `weights` is (channels, taps). Half-words are 0 of taps that are not `real`, (taps,).
    """
    count = weights.shape[1]
    raised = np.array([OFFSET, OFFSET, OFFSET, 0]).reshape(1, -1, 1) * np.ones((1, 1, count), int)
    if real is not None:
        raised[:, :, ~real] = 0
    panels = weights[panel_rows(len(weights))].reshape(-1, PANEL_CHANNELS, count) + raised
    halves = (panels * _PLACES).sum(1).astype(np.uint16).astype(np.uint32)
    first, second = np.array(order, np.int64).T
    words: Words = halves[:, first] | halves[:, second] << 16
    return np.ascontiguousarray(words)


def unpack_nibbles(
    words: Words, channels: int, order: Pairs, real: BoolArray | None = None
) -> Int64Array:
    """The inverse of `pack_nibbles`: (channels, taps)."""
    count = 2 * len(order)
    halves = np.empty((len(words), count), np.int64)
    first, second = np.array(order, np.int64).T
    halves[:, first] = words & 0xFFFF
    halves[:, second] = words >> 16
    digits = halves[:, None, :] // _PLACES % 16
    digits[:, 3] -= 16 * (digits[:, 3] > INT4_MAX)
    digits[:, :3] -= OFFSET
    if real is not None:
        digits[:, :, ~real] = 0
    weights = np.empty((channels, count), np.int64)
    weights[panel_rows(channels)] = digits.reshape(-1, count)
    return weights
