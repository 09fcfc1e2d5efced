"""Panels of four output channels as `firmware/tuned/mve_panels.S` reads them, on cores with MVE.

The kernel requantizes as the reference does, in vectors: VQRDMULH is the reference's doubling
multiplication, which saturates for -2**31 twice only, and no multiplier is negative; VRSHL rounds
ties up, so 1 is subtracted from negative values first. This is exact for right shifts of 1 and
more, while the sums with their biases stay within int32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compress.arithmetic.fixedpoint import INT8_MAX, INT8_MIN
from hil.tuned.requantize import Channels, Int64Array

Int8Values = npt.NDArray[np.int8]

MVE_PANEL_CHANNELS = 4
STEP_TAPS = 16
PARAMETERS = 3 * MVE_PANEL_CHANNELS
# Of a channel that is constant: v = round(4 * v / 2) / 2, exactly.
_CONSTANT_FACTOR, _CONSTANT_SUM, _CONSTANT_SHIFT = 2**30, 4, 1


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """How sums become results, by channel: bias, multiplier and right shift of at least 1.

    `zero` is added and the result limited to `lowest` and `highest`, for all channels alike.
    """

    bias: Int64Array
    multiplier: Int64Array
    right_shift: Int64Array
    zero: int
    lowest: int
    highest: int


def scaling_of(channels: Channels, zero_point: int) -> Scaling:
    """The scaling of a layer whose output has that zero point.

    A channel that is constant has a zero point of its own in `channels`; here it gets a bias.
    """
    right = channels.right_shift
    zero = (channels.constant - (np.int64(1) << (right - 1))) >> right
    fixed = zero != zero_point
    lowest, highest = channels.clamp or (INT8_MIN, INT8_MAX)
    return Scaling(
        bias=np.where(fixed, _CONSTANT_SUM * (zero - zero_point), channels.bias),
        multiplier=np.where(fixed, _CONSTANT_FACTOR, (channels.factor + 2**32) // 2),
        right_shift=np.where(fixed, _CONSTANT_SHIFT, right),
        zero=zero_point,
        lowest=lowest,
        highest=highest,
    )


def mve_panel_rows(channels: int) -> Int64Array:
    """The channel of each row of the panels, -1 for none.

    The last panel ends at the last channel; with less than four, some rows are of none.
    """
    if channels < MVE_PANEL_CHANNELS:
        return np.array([*range(channels), *[-1] * (MVE_PANEL_CHANNELS - channels)], np.int64)
    starts = [
        min(start, channels - MVE_PANEL_CHANNELS)
        for start in range(0, channels, MVE_PANEL_CHANNELS)
    ]
    return np.concatenate([np.arange(start, start + MVE_PANEL_CHANNELS) for start in starts])


def pack_mve_panels(weights: Int64Array) -> Int8Values:
    """(panels, steps, 4, 16) of int8 from (channels, taps); taps that are missing are 0."""
    count, taps = weights.shape
    steps = -(-taps // STEP_TAPS)
    padded = np.zeros((count + 1, steps * STEP_TAPS), np.int8)
    padded[:count, :taps] = weights
    rows = padded[mve_panel_rows(count)].reshape(-1, MVE_PANEL_CHANNELS, steps, STEP_TAPS)
    return np.ascontiguousarray(rows.transpose(0, 2, 1, 3))


def unpack_mve_panels(packed: Int8Values, channels: int, taps: int) -> Int64Array:
    """The inverse of `pack_mve_panels`: (channels, taps)."""
    rows = packed.transpose(0, 2, 1, 3).reshape(len(packed) * MVE_PANEL_CHANNELS, -1)
    order = mve_panel_rows(channels)
    weights = np.empty((channels, taps), np.int64)
    weights[order[order >= 0]] = rows[order >= 0, :taps]
    return weights


def mve_panel_parameters(scaling: Scaling) -> Int64Array:
    """(panels, 12): four biases, four multipliers, four right shifts, negative."""
    values = np.stack([scaling.bias, scaling.multiplier, -scaling.right_shift])
    padded = np.concatenate([values, np.zeros((3, 1), np.int64)], axis=1)
    rows = padded[:, mve_panel_rows(len(scaling.bias))].reshape(3, -1, MVE_PANEL_CHANNELS)
    return np.ascontiguousarray(rows.transpose(1, 0, 2)).reshape(-1, PARAMETERS)
