"""How a channel is requantized, in two words: firmware/tuned/short.h."""

from __future__ import annotations

import numpy as np

from hil.kernel_interface.call import Words
from hil.tuned.requantize import Channels, Int64Array

SCALE_BYTES = 8
_SHIFT_BITS = 5
_LARGEST_BIAS = 1 << (31 - _SHIFT_BITS)
_HALF = -(1 << 31)  # the factor that halves a sum


def zero_points(channels: Channels) -> Int64Array:
    """The zero point of each channel's results: that of the output, or a constant result."""
    right = channels.right_shift
    return (channels.constant - (np.int64(1) << (right - 1))) >> right


def pack_scales(channels: Channels, zero_point: int) -> Words | None:
    """(channels, 2): the factor; 32 times the bias, plus the right shift. None if a bias is large.

    All channels are given the output's zero point: a constant result is one of a constant sum,
    that is halved and shifted by 1.
    """
    offset = zero_points(channels) - zero_point
    constant = offset != 0
    bias = np.where(constant, 4 * offset, channels.bias)
    if (np.abs(bias) >= _LARGEST_BIAS).any():
        return None
    factor = np.where(constant, _HALF, channels.factor)
    right = np.where(constant, 1, channels.right_shift)
    words: Words = np.stack([factor, (bias << _SHIFT_BITS) + right], axis=1).astype(np.uint32)
    return words


def unpack_scales(words: Words) -> tuple[Int64Array, Int64Array, Int64Array]:
    """The inverse of `pack_scales`: factors, biases and right shifts."""
    factor, packed = words.view(np.int32).astype(np.int64).T
    return factor, packed >> _SHIFT_BITS, packed & ((1 << _SHIFT_BITS) - 1)


def odd_zero_point(zero_point: int) -> int:
    """What a kernel derives the constant of the requantization from."""
    return 2 * zero_point + 1
