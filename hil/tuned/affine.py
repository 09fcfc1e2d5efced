"""Functions of two bytes as saturated(floor((left * a + right * b + constant) / 2**shift)).

TensorFlow Lite scales both operands of a sum and the sum itself, each with its own rounding. All
that can be seen of it are 256 * 256 results. So factors are looked for that give them all: for each
a the results bound what has to be added to `right * b`, from below and above, and a line through
these 256 intervals is `left * a + constant`. There is none where the result is a tie for many pairs
that the rounding of one operand decides: for scales in ratios of small numbers, but not 1 or 2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from compress.arithmetic.fixedpoint import INT8_MAX, INT8_MIN
from hil.tuned.requantize import Int64Array

INT8_VALUES = np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.int64)

_MOST = 2**31 - 1
_NO_BOUND = 2**40  # beyond all sums
_FIRST, _SECOND = np.triu_indices(len(INT8_VALUES), 1)


@dataclass(frozen=True, slots=True)
class Affine:
    """Factors of a byte each and the constant of a sum, of which `shift` bits are dropped.

    The products have `places` more bits, which are dropped from each before they are added.
    """

    left: int
    right: int
    constant: int
    shift: int
    places: int

    def results(self) -> Int64Array:
        """The results for all bytes a (rows) and b (columns) as int8: (256, 256)."""
        sums = _product(self.left, self.places)[:, None] + _product(self.right, self.places)
        return np.clip((sums + self.constant) >> self.shift, INT8_MIN, INT8_MAX)

    def stays_in_int32(self) -> bool:
        """True if no factor, no product and no sum needs more than 32 bits."""
        sides = [
            int(np.abs(_product(factor, self.places)).max()) for factor in (self.left, self.right)
        ]
        return max(abs(self.left), abs(self.right), sum(sides) + abs(self.constant)) <= _MOST


def fit(results: Int64Array, slopes: tuple[float, float], shift: int, places: int) -> Affine | None:
    """Factors that give all `results` (256, 256) of bytes a and b exactly; None if none are found.

    `results` are values of int8, those that are saturated included. They are nearly
    slopes[0] * a + slopes[1] * b + some constant.
    """
    for right in _near(slopes[1] * 2 ** (shift + places)):
        found = _fit_left(results, right, shift, places)
        if found is not None:
            return found
    return None


def _near(factor: float) -> Iterator[int]:
    """The nearest integer, its neighbors, and some that are farther away, by powers of two.

    A larger factor moves ties away from zero, as TensorFlow Lite rounds them.
    """
    nearest = round(factor)
    yield nearest
    for distance in (1, 2, 3, 4, 6, *(2**i for i in range(3, 13))):
        yield from (nearest + distance, nearest - distance)


def _product(factor: int, places: int) -> Int64Array:
    return (factor * INT8_VALUES) >> places


def _fit_left(results: Int64Array, right: int, shift: int, places: int) -> Affine | None:
    by_right = _product(right, places)
    above = np.where(results > INT8_MIN, results << shift, -_NO_BOUND) - by_right
    below = np.where(results < INT8_MAX, ((results + 1) << shift) - 1, _NO_BOUND) - by_right
    low, high = above.max(1), below.min(1)
    if (low > high).any():
        return None
    # Between each two of the intervals a line can be so steep.
    runs = (_SECOND - _FIRST).astype(np.float64)
    least = float(((low[_SECOND] - high[_FIRST]) / runs).max())
    most = float(((high[_SECOND] - low[_FIRST]) / runs).min())
    first, last = math.ceil(least * 2**places), math.floor(most * 2**places)
    for left in sorted({(first + last) // 2, first, last}) if first <= last else ():
        by_left = _product(left, places)
        lowest, highest = int((low - by_left).max()), int((high - by_left).min())
        found = Affine(left, right, (lowest + highest) // 2, shift, places)
        exact = lowest <= highest and found.stays_in_int32()
        if exact and np.array_equal(found.results(), results):
            return found
    return None
