"""Softmax of int16, bit-exact to TFLite's kernel: exponentials and a reciprocal from tables.

Sources, of TensorFlow Lite release 2.14: tensorflow/lite/kernels/activations.cc (preparation),
internal/reference/softmax.h (SoftmaxInt16) and internal/common.h (gen_lut, LUTLookup).
tflite-micro makes its tables in single precision, where two reciprocals round otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from compress.arithmetic.fixedpoint import (
    INT16_MAX,
    INT16_MIN,
    Int64Array,
    multiply_by_quantized_multiplier,
)
from compress.types import IntArray

_LEAST_EXPONENT = -10.0  # of the table; what is below counts as this
STEP_OF_EXPONENT = -_LEAST_EXPONENT / (2**16 - 1)  # of the table's argument, which is int16
_STEPS = 512  # of a table, which has one entry more
_ONE = 2.0**15

_Floats = npt.NDArray[np.floating[Any]]


def softmax_int16_rows(
    x: IntArray, multiplier: int, shift: int, *, single_precision: bool = False
) -> IntArray:
    """Softmax of each row of x int16 (rows, classes): int16 with scale 1/32768, zero point 0.

    Differences to the row's maximum are multiplied by multiplier * 2**(shift - 31), which makes
    them steps of 10/65535. `single_precision` is that of the reciprocals.
    """
    below_max = x.astype(np.int64) - x.max(axis=1, keepdims=True)
    steps = multiply_by_quantized_multiplier(below_max, multiplier, shift)
    terms = _looked_up(exponentials(), np.clip(steps + INT16_MAX, INT16_MIN, INT16_MAX))
    sums = terms.sum(axis=1, keepdims=True)
    bits = np.frexp(sums.astype(np.float64))[1].astype(np.int64)  # 2**(bits - 1) <= sum < 2**bits
    # The sum as one to two in Q1.16, less one, around the middle.
    fraction = (((sums << (31 - bits)) + (1 << 13)) >> 14) - (1 << 16) - (1 << 15)
    table = reciprocals(np.float32 if single_precision else np.float64)
    scale = _looked_up(table, np.clip(fraction, INT16_MIN, INT16_MAX))
    shares = (terms * scale + (1 << (bits - 2))) >> (bits - 1)
    result: IntArray = np.clip(shares, 0, INT16_MAX).astype(np.int16)
    return result


def exponentials() -> IntArray:
    """exp of -10 .. 0 in Q0.15, int16 (513,)."""
    return _table(np.exp, _LEAST_EXPONENT, 0.0)


def reciprocals(precision: type[np.floating[Any]] = np.float64) -> IntArray:
    """1 / (1 + x) of 0 .. 1 in Q0.15, int16 (513,), computed in that precision."""
    return _table(lambda x: 1.0 / (1.0 + x), 0.0, 1.0, precision)


def _table(
    function: Callable[[_Floats], _Floats],
    first: float,
    last: float,
    precision: type[np.floating[Any]] = np.float64,
) -> IntArray:
    """Values at the ends of 512 equal steps, moved by half of what interpolation errs midway."""
    step = (last - first) / _STEPS
    starts = (first + np.arange(_STEPS) * step).astype(precision)
    values = _rounded(function(starts) * _ONE)
    midway = _rounded((function(starts + step) * _ONE + values) / 2)
    errors = midway - _rounded(function(starts + step / 2) * _ONE)
    ends = _rounded(function(np.array([last], precision)) * _ONE)
    moved = np.concatenate([values - _rounded(errors / 2), ends])
    table: IntArray = np.clip(moved, INT16_MIN, INT16_MAX).astype(np.int16)
    return table


def _rounded(x: _Floats) -> _Floats:
    """To the next integer, ties away from zero."""
    rounded: _Floats = np.trunc(x + np.copysign(x.dtype.type(0.5), x))
    return rounded


def _looked_up(table: IntArray, x: Int64Array) -> Int64Array:
    """The table's values, interpolated, for x in -32768 .. 32767."""
    index = 256 + (x >> 7)
    base = table[index].astype(np.int64)
    value: Int64Array = base + (((table[index + 1] - base) * (x & 127) + 64) >> 7)
    return value
