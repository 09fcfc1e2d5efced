"""Panels hold every weight once and in the order of the micro-kernel; their sums are exact."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hil.tuned.panels import pack_panels, panel_rows, swapped_order, unpack_panels

weights = st.tuples(st.integers(4, 13), st.integers(1, 6)).flatmap(
    lambda size: arrays.arrays(np.int64, (size[0], 4 * size[1]), elements=st.integers(-127, 127))
)


@given(weights)
def test_unpacking_is_the_inverse_of_packing(values: np.ndarray) -> None:
    order = swapped_order(values.shape[1])
    packed = pack_panels(values, order)
    assert packed.shape == ((len(values) + 3) // 4, len(order), 2)
    np.testing.assert_array_equal(unpack_panels(packed, len(values), order), values)


@given(weights, st.integers(0, 2**32 - 1))
def test_sums_of_two_channels_come_out_of_one_multiplication(values: np.ndarray, seed: int) -> None:
    """As conv_panel.S computes them: B = sum x (a + 256 b) and A = sum x a, in int32."""
    channels, taps = values.shape
    order = swapped_order(taps)
    x = np.random.default_rng(seed).integers(-128, 128, taps)
    first, second = np.array(order).T
    rows = panel_rows(channels).reshape(-1, 4)
    for words, panel in zip(pack_panels(values, order), rows, strict=True):
        for j in range(2):
            word = words[:, j].astype(np.int64)
            low, high = (half.astype(np.int16).astype(np.int64) for half in (word, word >> 16))
            both = int(low @ x[first] + high @ x[second])
            a = int(low.astype(np.int8) @ x[first] + high.astype(np.int8) @ x[second])
            assert a == values[panel[2 * j]] @ x
            assert (both - a) >> 8 == values[panel[2 * j + 1]] @ x
