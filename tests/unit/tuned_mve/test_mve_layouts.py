"""Layouts of weights for MVE, and how far outputs may lie over inputs."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hil.tuned_mve.depthwise import WINDOW, pack_weights, unpack_weights, weight_offsets
from hil.tuned_mve.panels import (
    MVE_PANEL_CHANNELS,
    STEP_TAPS,
    mve_panel_rows,
    pack_mve_panels,
    unpack_mve_panels,
)
from hil.tuned_mve.windows import SlidingWindows, lead_bytes


def weights(channels: int, taps: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.random.default_rng(channels * taps).integers(-128, 128, (channels, taps))


@given(st.integers(1, 14), st.integers(1, 70))
def test_panels_hold_every_weight_once_each_channel(channels: int, taps: int) -> None:
    values = weights(channels, taps)
    packed = pack_mve_panels(values)
    np.testing.assert_array_equal(unpack_mve_panels(packed, channels, taps), values)
    assert packed.shape[1:] == (-(-taps // STEP_TAPS), MVE_PANEL_CHANNELS, STEP_TAPS)
    inputs = np.random.default_rng(0).integers(-128, 128, packed.shape[1] * STEP_TAPS)
    steps = inputs.reshape(-1, 1, STEP_TAPS)
    sums = (packed.astype(np.int64) * steps).sum((1, 3)).reshape(-1)
    for row, channel in enumerate(mve_panel_rows(channels)):
        wanted = (values[channel] * inputs[:taps]).sum() if channel >= 0 else 0
        assert sums[row] == wanted


@given(st.integers(1, 14), st.integers(1, 16))
def test_depthwise_weights_come_back(channels: int, taps: int) -> None:
    values = weights(channels, taps)
    packed = pack_weights(values)
    np.testing.assert_array_equal(unpack_weights(packed, channels), values)
    assert (packed[:, taps] == 0).all()
    assert (packed[channels:] == 0).all()


@given(st.integers(1, WINDOW), st.integers(1, WINDOW), st.integers(0, WINDOW - 1))
def test_gathered_weights_meet_the_rows_where_they_are(rows: int, columns: int, first: int) -> None:
    """A window whose row r is at place (first + r) % 4 of each column."""
    values = weights(rows, columns)
    stored = np.append(values.reshape(-1), 0)
    gathered = stored[weight_offsets(rows, columns)[first]].reshape(WINDOW, WINDOW)
    window = np.random.default_rng(first).integers(-128, 128, (rows, columns))
    cells = np.random.default_rng(9).integers(-128, 128, (WINDOW, WINDOW))
    for row, column in itertools.product(range(rows), range(columns)):
        cells[column, (first + row) % WINDOW] = window[row, column]
    assert (gathered * cells).sum() == (values * window).sum()


def clobbers(windows: SlidingWindows, depth: int, channels: int, pixels: int, lead: int) -> bool:
    """Whether an input byte is overwritten before it was read, played through byte by byte."""
    overwritten: set[int] = set()
    out_rows, out_columns = windows.outputs
    for y, start in itertools.product(range(out_rows), range(0, out_columns, pixels)):
        segment = range(start, min(start + pixels, out_columns))
        for x in segment:
            for row, column in itertools.product(*(range(size) for size in windows.window)):
                i = y * windows.stride[0] - windows.before[0] + row
                j = x * windows.stride[1] - windows.before[1] + column
                if 0 <= i < windows.inputs[0] and 0 <= j < windows.inputs[1]:
                    first = (i * windows.inputs[1] + j) * depth
                    if overwritten & set(range(first, first + depth)):
                        return True
        first = (y * out_columns + segment.start) * channels - lead
        overwritten |= set(range(first, first + len(segment) * channels))
    return False


sizes = st.tuples(st.integers(1, 6), st.integers(1, 6))
small = st.tuples(st.integers(1, 3), st.integers(1, 3))
padding = st.tuples(st.integers(0, 3), st.integers(0, 3))


@given(sizes, sizes, small, small, padding, st.integers(1, 3), st.integers(1, 5), st.integers(1, 4))
def test_a_lead_is_enough_and_not_a_byte_too_long(
    inputs: tuple[int, int],
    outputs: tuple[int, int],
    window: tuple[int, int],
    stride: tuple[int, int],
    before: tuple[int, int],
    depth: int,
    channels: int,
    pixels: int,
) -> None:
    windows = SlidingWindows(inputs, outputs, window, stride, before)
    lead = lead_bytes(windows, depth, channels, pixels)
    assert not clobbers(windows, depth, channels, pixels, lead)
    assert lead == 0 or clobbers(windows, depth, channels, pixels, lead - 1)
