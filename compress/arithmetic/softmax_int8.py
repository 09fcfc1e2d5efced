"""Softmax of int8, bit-exact to TFLite's reference kernel in fixed point.

Sources, of TensorFlow Lite release 2.14: tensorflow/lite/kernels/internal/reference/softmax.h
(rows), internal/common.h (GetReciprocal) and gemmlowp/fixedpoint/fixedpoint.h (exponential and
division) in the double-rounding build. Fixed-point values are int32 in int64 arrays; Qm.n has m
integer and n fraction bits.

Where a row's exponentials add up to 512 or more, TFLite shifts an int32 by 32 bits or more, which
is undefined in C: on x86 all outputs become 127. Here, and in our C kernel, the quotient is
rounded as it is otherwise: each output, below 1/512, becomes -128 (`is_undefined_in_tflite`).
To int16 the shift is by 8 bits less, which is always defined.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compress.arithmetic.fixedpoint import Int64Array
from compress.types import Int8Array, IntArray

BoolArray = npt.NDArray[np.bool_]

SOFTMAX_INTEGER_BITS = 5
MOST_DEFINED_CLASSES = 511  # fewer exponentials than a sum that TFLite does not define
_ACCUMULATION_BITS = 12
_LARGEST_DEFINED_SUM = 512 * 2**19 - 1  # of exponentials in Q12.19: beyond it the shift is 32
_INT32_MAX, _INT32_MIN = 2**31 - 1, -(2**31)
# exp(-2**k) for k = -2 .. 4 in Q0.31, each with the bit of a Q5.26 exponent that selects it.
_EXP_FACTORS = (
    (24, 1672461947),
    (25, 1302514674),
    (26, 790015084),
    (27, 290630308),
    (28, 39332535),
    (29, 720401),
    (30, 242),
)
_EXP_MINUS_EIGHTH = 1895147668  # Q0.31
_ONE_THIRD = 715827883  # Q0.31
_48_OVER_17 = 1515870810  # Q2.29
_MINUS_32_OVER_17 = -1010580540  # Q2.29


@dataclass(frozen=True, slots=True)
class SoftmaxParameters:
    """Differences to the row's maximum, times multiplier * 2**left_shift, are Q5.26 exponents.

    Differences below `diff_min` contribute nothing and give -128.
    """

    multiplier: int
    left_shift: int
    diff_min: int


def softmax_rows(
    x: Int8Array, parameters: SoftmaxParameters, item: npt.DTypeLike = np.int8
) -> IntArray:
    """Softmax of each row of x int8 (rows, classes).

    `item` is int8, with scale 1/256 and zero point -128, or int16, with 1/65536 and -32768.
    """
    limits = np.iinfo(item)
    exponentials = _exponentials(parameters)
    below_max = x.max(axis=1, keepdims=True).astype(np.int64) - x
    terms = exponentials[below_max]
    sums = _round_shift(terms, _ACCUMULATION_BITS).sum(axis=1, keepdims=True)
    reciprocal, bits_over_unit = _reciprocal(sums)
    scaled = _round_shift(_multiply(reciprocal, terms), bits_over_unit + 31 - limits.bits)
    shares: IntArray = np.clip(scaled + limits.min, limits.min, limits.max).astype(item)
    return shares


def is_undefined_in_tflite(x: Int8Array, parameters: SoftmaxParameters) -> BoolArray:
    """True for each row of x int8 (rows, classes) whose int8 softmax TFLite does not define."""
    terms = _exponentials(parameters)[x.max(axis=1, keepdims=True).astype(np.int64) - x]
    undefined: BoolArray = (
        _round_shift(terms, _ACCUMULATION_BITS).sum(axis=1) > _LARGEST_DEFINED_SUM
    )
    return undefined


def _exponentials(parameters: SoftmaxParameters) -> Int64Array:
    """exp(-d * scale) in Q0.31 for d = 0 .. 255; 0 where the difference is below diff_min."""
    differences = -np.arange(256, dtype=np.int64)
    used = differences >= parameters.diff_min
    shifted = np.where(used, differences, 0) << parameters.left_shift
    exponents = _multiply(shifted, np.int64(parameters.multiplier))
    return np.where(used, _exp_on_negative_values(exponents), 0)


def _multiply(a: Int64Array, b: Int64Array | np.int64) -> Int64Array:
    """gemmlowp's SaturatingRoundingDoublingHighMul: a * b / 2**31, ties towards plus infinity."""
    product: Int64Array = (a * b + (1 << 30)) >> 31
    return np.minimum(product, _INT32_MAX)


def _round_shift(x: Int64Array, exponent: int | Int64Array) -> Int64Array:
    """gemmlowp's RoundingDivideByPOT for exponents above 0: ties away from zero."""
    places = np.asarray(exponent, np.int64)
    shifted: Int64Array = (x + ((1 << places) >> 1) - (x < 0)) >> places
    return shifted


def _saturating_left_shift(x: Int64Array, exponent: int) -> Int64Array:
    return np.clip(x << exponent, _INT32_MIN, _INT32_MAX)


def _exp_on_negative_values(a: Int64Array) -> Int64Array:
    """exp(a) in Q0.31 for a <= 0 in Q5.26."""
    quarter = 1 << 24
    fraction = (a & (quarter - 1)) - quarter
    result = _exp_between_minus_quarter_and_zero(_saturating_left_shift(fraction, 5))
    remainder = fraction - a
    for bit, factor in _EXP_FACTORS:
        result = np.where(remainder & (1 << bit), _multiply(result, np.int64(factor)), result)
    return np.where(a == 0, _INT32_MAX, result)


def _exp_between_minus_quarter_and_zero(a: Int64Array) -> Int64Array:
    """Taylor expansion of exp around -1/8, Q0.31 in and out."""
    x = a + (1 << 28)
    x2 = _multiply(x, x)
    x3 = _multiply(x2, x)
    x4_over_4 = _round_shift(_multiply(x2, x2), 2)
    tail = _round_shift(_multiply(x4_over_4 + x3, np.int64(_ONE_THIRD)) + x2, 1)
    return _EXP_MINUS_EIGHTH + _multiply(x + tail, np.int64(_EXP_MINUS_EIGHTH))


def _reciprocal(x: Int64Array) -> tuple[Int64Array, Int64Array]:
    """1 / x for x in Q12.19: (mantissa in Q0.31, number of bits above the unit)."""
    leading_zeros = 32 - np.frexp(x.astype(np.float64))[1].astype(np.int64)
    one_to_two = (x << leading_zeros) - (1 << 31)
    return _one_over_one_plus(one_to_two), _ACCUMULATION_BITS - leading_zeros


def _one_over_one_plus(a: Int64Array) -> Int64Array:
    """1 / (1 + a) in Q0.31 for a in [0, 1) in Q0.31, by three Newton-Raphson steps in Q2.29."""
    half_denominator = (a + _INT32_MAX + 1) // 2
    x = _48_OVER_17 + _multiply(half_denominator, np.int64(_MINUS_32_OVER_17))
    for _ in range(3):
        error = (1 << 29) - _multiply(half_denominator, x)
        x = x + _saturating_left_shift(_multiply(x, error), 2)
    return _saturating_left_shift(x, 1)
