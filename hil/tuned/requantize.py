"""Requantization of int32 sums to int8 with one multiplication, proved exact channel by channel.

The reference's double rounding (`compress.arithmetic.fixedpoint.multiply_by_quantized_multiplier`)
of a sum s by mantissa m and right shift r, plus the zero point z, is

    v = s + round(s * m2 / 2**32)           m2 = 2 * m - 2**32; one SMMLAR on cores with DSP
    q = (v - (s < 0) + c) >> r              c = (z << r) + (1 << (r - 1))

`v < 0` may be read off s: they differ for v = 0 only, which both round to 0. It holds for
1 <= r <= 22 while no step leaves int32, which is proved from the bounds of s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compress.arithmetic.fixedpoint import (
    INT8_MAX,
    INT8_MIN,
    clamp_range,
    conv_multipliers,
    multiply_by_quantized_multiplier,
)
from compress.ops import Weighted
from compress.types import Graph

Int64Array = npt.NDArray[np.int64]

LARGEST_SHIFT = 22
_MOST = 2**31 - 1
# A factor whose result is 0 for the sum 0, with any zero point: for channels that are constant.
_ANY_FACTOR = (1 << 30, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Channels:
    """A layer's weights by output channel as its kernel takes them, and how it requantizes sums.

    `weights` is (channels, taps) of int64. `bias` has the input's zero point in it, so that a
    kernel multiplies inputs as they are stored and pads with the zero point. `factor`, `constant`
    and `right_shift` are m2, c and r of each channel. `clamp` limits the results after they were
    saturated to int8; None if that is no limit. A channel whose result does not depend on the
    input has weights of 0.
    """

    weights: Int64Array
    bias: Int64Array
    factor: Int64Array
    constant: Int64Array
    right_shift: Int64Array
    clamp: tuple[int, int] | None


def channels_of(graph: Graph, op: Weighted, weights: Int64Array) -> Channels | None:
    """The channels of `op`, `weights` being (channels, taps); None if the form is not exact."""
    bias = graph.tensors[op.bias].data
    if bias is None or graph.tensors[op.weights].zero_point:
        return None
    source, out = graph.tensors[op.input], graph.tensors[op.output]
    if source.dtype != "int8" or out.dtype != "int8":
        return None
    count = len(weights)
    folded = bias.reshape(-1).astype(np.int64) - source.zero_point * weights.sum(1)
    low = folded + np.where(weights > 0, INT8_MIN * weights, INT8_MAX * weights).sum(1)
    high = folded + np.where(weights > 0, INT8_MAX * weights, INT8_MIN * weights).sum(1)
    pairs = np.broadcast_to(np.array(conv_multipliers(graph, op), np.int64), (count, 2))
    mantissa, shift = pairs[:, 0], pairs[:, 1]
    if (np.maximum(np.abs(low), np.abs(high)) > _MOST).any() or (np.abs(folded) > _MOST).any():
        return None
    lowest, highest = _results(low, pairs, out.zero_point), _results(high, pairs, out.zero_point)
    fixed = lowest == highest  # the result rises with the sum
    reach = np.maximum(np.abs(low), np.abs(high))
    if (reach << np.maximum(shift, 0) > _MOST).any():  # a left shift would wrap
        return None
    right = np.where(fixed, _ANY_FACTOR[1], -shift)
    if ((right < 1) | (right > LARGEST_SHIFT)).any():
        return None
    mantissa = np.where(fixed, _ANY_FACTOR[0], mantissa)
    zero = np.where(fixed, lowest, out.zero_point)
    constant = (zero << right) + (np.int64(1) << (right - 1))
    if (np.where(fixed, 0, reach) + 2 + np.abs(constant) > _MOST).any():  # |v| <= |s|, as m < 2**31
        return None
    limits = clamp_range(out, op.activation)
    return Channels(
        weights=np.where(fixed[:, None], 0, weights),
        bias=np.where(fixed, 0, folded),
        factor=2 * mantissa - 2**32,
        constant=constant,
        right_shift=right,
        clamp=None if limits == (INT8_MIN, INT8_MAX) else limits,
    )


def _results(sums: Int64Array, pairs: Int64Array, zero_point: int) -> Int64Array:
    scaled = multiply_by_quantized_multiplier(sums, pairs[:, 0], pairs[:, 1])
    return np.clip(scaled + zero_point, INT8_MIN, INT8_MAX)
