"""Tables and functions of the integer features: sines, roots, logarithms, the order of an FFT.

Each is computed offline in double precision and rendered as C, so that a device and this reference
have the same integers. Products with the tables have 15 bits after the point (Q15).
"""

from __future__ import annotations

import numpy as np

from compress.types import Array

ONE_Q15 = 1 << 15
MOST_INT16 = ONE_Q15 - 1
ROOT_FIRST = 64  # the first entry of the table of roots: of 64 / 256
LOG_STEPS = 128


def q15(values: Array) -> Array:
    """Values of -1..1 as int64 with 15 bits after the point; 1 is the largest int16."""
    rounded: Array = np.rint(np.asarray(values, np.float64) * ONE_Q15).astype(np.int64)
    return np.asarray(np.minimum(rounded, MOST_INT16))


def sines(points: int) -> Array:
    """sin(2 pi k / points) for k = 0..points - 1, Q15."""
    return q15(np.sin(2 * np.pi * np.arange(points) / points))


def roots() -> Array:
    """sqrt(k / 256) for k = 64..256, with 16 bits after the point, at most 65,535."""
    root = np.rint(np.sqrt(np.arange(ROOT_FIRST, 257) / 256) * (1 << 16)).astype(np.int64)
    return np.asarray(np.minimum(root, (1 << 16) - 1))


def logarithms() -> Array:
    """log2(1 + k / 128) for k = 0..128, with 16 bits after the point, at most 65,535."""
    log = np.rint(np.log2(1 + np.arange(LOG_STEPS + 1) / LOG_STEPS) * (1 << 16)).astype(np.int64)
    return np.asarray(np.minimum(log, (1 << 16) - 1))


def fft_order(points: int) -> list[int]:
    """The order in which an FFT of radix 4, and at its start of radix 2 if needed, takes values.

    Raises ValueError unless `points` is a power of two.
    """
    if points < 1 or points & (points - 1):
        raise ValueError(f"{points} points: must be a power of two")
    if points <= 2:
        return list(range(points))
    quarter = fft_order(points // 4)
    return [4 * place + part for part in range(4) for place in quarter]


def top_bit(values: Array) -> Array:
    """The place of the highest set bit of each value from 1 to 2^63 - 1, int64; 0 for 0."""
    place = np.zeros(values.shape, np.int64)
    rest = values.astype(np.int64)
    for step in (32, 16, 8, 4, 2, 1):
        large = rest >= np.int64(1) << step
        place += np.where(large, step, 0)
        rest = np.where(large, rest >> step, rest)
    return place


def shifted_left(values: Array, bits: Array) -> Array:
    """values * 2^bits, rounded down where bits are negative."""
    left = values << np.maximum(bits, 0)
    return np.asarray(left >> np.maximum(-bits, 0))
