"""Weights for cores without DSP: packed once each, refused where their sums might not hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hil.tuned.requantize import Channels
from hil.tuned_scalar.dense import pack_units, unpack_units
from hil.tuned_scalar.pairs import (
    fit_pairs,
    pack_pairs,
    paired_channels,
    sums_fit,
    unpack_pairs,
)

weights = st.tuples(st.integers(4, 9), st.integers(1, 9)).flatmap(
    lambda size: arrays.arrays(np.int64, size, elements=st.integers(-128, 127))
)


def channels(rows: np.ndarray, bias: int = 0) -> Channels:
    ones = np.ones(len(rows), np.int64)
    return Channels(rows, bias * ones, ones, ones, ones, None)


@given(weights)
def test_unpacking_is_the_inverse_of_packing(values: np.ndarray) -> None:
    assert pack_pairs(values).shape == ((len(values) + 1) // 2, (values.shape[1] + 1) // 2)
    np.testing.assert_array_equal(unpack_pairs(pack_pairs(values), *values.shape), values)
    np.testing.assert_array_equal(unpack_units(pack_units(values), *values.shape), values)


def wrapped(value: int) -> int:
    """`value` as int32 keeps it."""
    return (value + 2**31) % 2**32 - 2**31


@given(weights, st.integers(0, 2**32 - 1))
def test_sums_of_two_pixels_come_out_of_one_multiplication(values: np.ndarray, seed: int) -> None:
    """As conv_channels_v7m.S computes them, with every sum kept in 32 bits."""
    if not fit_pairs(channels(values)):
        return
    taps = values.shape[1]
    x = np.random.default_rng(seed).choice([-128, -1, 127], (2, taps + taps % 2))
    both = [int(first + 65536 * second) for first, second in x.T]
    packed = pack_pairs(values).view(np.int8).reshape(-1, len(both) // 2, 2, 2)
    rows = packed.transpose(0, 2, 1, 3).reshape(-1, len(both))
    for row, channel in zip(rows, paired_channels(len(values)), strict=True):
        total = upper = 0
        for i in range(0, len(both), 2):
            pair = wrapped(both[i] * int(row[i]) + both[i + 1] * int(row[i + 1]) + 2**15)
            total, upper = wrapped(total + pair), upper + (pair >> 16)
        lower = wrapped(total - (upper << 16) - 2**15 * (len(both) // 2))
        assert (lower, upper) == tuple(x[:, :taps] @ values[channel])


@pytest.mark.parametrize(
    ("row", "fits"),
    [
        ([-128, 127], True),  # 128 * 128 + 127 * 127
        ([-128, 5, -128, 5], True),
        ([5, 5, -128, -128], False),  # two products of -128 and -128 make 2**15
        ([127, 127, 127], True),
        ([-127, -127], True),
    ],
)
def test_pairs_of_taps_have_to_fit_16_bits(row: list[int], fits: bool) -> None:
    assert fit_pairs(channels(np.array([[1] * len(row), row]))) is fits


def test_sums_have_to_fit_29_bits() -> None:
    row = np.array([[1, -1]])
    assert sums_fit(channels(row, bias=2**29 - 257))
    assert not sums_fit(channels(row, bias=2**29 - 256))
    assert not sums_fit(channels(row, bias=-(2**29)))
    assert not fit_pairs(channels(row, bias=-(2**29)))
