"""1 / sqrt of every int8, bit-exact to TFLite's RSQRT.

Sources, of TensorFlow Lite release 2.14: tensorflow/lite/kernels/elementwise.cc
(RsqrtEvalQuantized), internal/quantization_util.h (GetInvSqrtQuantizedMultiplierExp).
"""

from __future__ import annotations

import math

import numpy as np

from compress.arithmetic.fixedpoint import (
    INT8_MAX,
    Int64Array,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
)
from compress.arithmetic.tables import every_value
from compress.errors import UnsupportedLayer
from compress.ops import Lookup
from compress.types import Tensor

_PLACES = 20  # fraction bits of 1 / sqrt(input steps)
_SHIFTS = range(-11, 31)  # of the factor to output steps: within them int32 holds everything
_ONE = 1 << 28  # of fixed point with 3 integer bits
_HALF_ROOT_OF_TWO = 1518500250  # sqrt(2) / 2 with 31 fraction bits
_ITERATIONS = 5  # Newton's, from 1


def inverse_roots(op: Lookup, source: Tensor, out: Tensor, single: bool) -> Int64Array:
    """1 / sqrt of every int8 in output steps, in the order of `every_value`, before the zero point.

    Zero gives the largest output. The factor to output steps is the reciprocal of a product, which
    is rounded to float32 if `single`. Raises UnsupportedLayer for an input that may be negative
    (TFLite stops at one), and for scales that leave int32.
    """
    if source.zero_point != -128:
        raise UnsupportedLayer(
            f"{op.name}: RSQRT of an input with zero point {source.zero_point}, of which a part is "
            "negative; must be -128"
        )
    root = np.sqrt(np.float32(source.scale)) if single else math.sqrt(source.scale)
    step = float(root * np.float32(out.scale)) if single else root * out.scale
    real = 1.0 / step if step > 0 else math.inf
    if not 2.0 ** (_SHIFTS[0] - 1) <= real < 2.0 ** _SHIFTS[-1]:
        raise UnsupportedLayer(
            f"{op.name}: RSQRT from scale {source.scale:g} to {out.scale:g} leaves int32"
        )
    multiplier, shift = quantize_multiplier(real)
    fractions = [_inverse_root(steps) for steps in range(1, 256)]
    values = multiply_by_quantized_multiplier(np.array(fractions), multiplier, shift - _PLACES)
    rising = np.concatenate(([INT8_MAX - out.zero_point], values))
    table: Int64Array = rising[every_value("int8") - source.zero_point]
    return table


def _inverse_root(x: int) -> int:
    """1 / sqrt(x) with 20 fraction bits, of an int from 1 to 255."""
    multiplier, right = _multiplier(x)
    one = np.array([1], np.int64)
    return int(multiply_by_quantized_multiplier(one, multiplier, _PLACES - right)[0])


def _multiplier(x: int) -> tuple[int, int]:
    """Mantissa with 31 fraction bits and right shift of 1 / sqrt(x), for an int from 1 to 255."""
    if x == 1:
        return 2**31 - 1, 0
    pairs = (31 - x.bit_length()) // 2 - 1
    scaled = (x << 2 * pairs) >> 1
    half, y = _rounding_divide(scaled, 1), _ONE
    for _ in range(_ITERATIONS):
        cube = _rescaled(_high_product(_high_product(y, y), y), 6)
        y = _rescaled(_high_product(_ONE + _ONE // 2, y) - _high_product(half, cube), 3)
    return _high_product(y, _HALF_ROOT_OF_TWO), 11 - pairs


def _high_product(a: int, b: int) -> int:
    """gemmlowp's SaturatingRoundingDoublingHighMul of numbers that are not negative."""
    return (a * b + (1 << 30)) >> 31


def _rescaled(x: int, bits: int) -> int:
    """x with `bits` fewer integer bits, limited to what int32 holds."""
    return min(x << bits, 2**31 - 1)


def _rounding_divide(x: int, places: int) -> int:
    return (x + ((1 << places) >> 1)) >> places
