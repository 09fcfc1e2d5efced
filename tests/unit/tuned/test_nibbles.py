"""Weights of four bits: packing has an inverse, four channels' sums come out of four products."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from compress.types import Graph
from helpers.graph_builder import GraphBuilder, Padding
from hil.board import load_board, without_waits
from hil.codegen.plan import make_plan
from hil.codegen.selection import call_of
from hil.kernels.choice import all_candidates, choose
from hil.tuned.nibbles import OFFSET, fit_nibbles, pack_nibbles, unpack_nibbles
from hil.tuned.panels import natural_order, panel_rows, swapped_order
from hil.tuned.requantize import Channels

weights = st.tuples(st.integers(4, 13), st.integers(1, 6)).flatmap(
    lambda size: arrays.arrays(np.int64, (size[0], 4 * size[1]), elements=st.integers(-8, 7))
)


def channels(values: np.ndarray) -> Channels:
    zeros = np.zeros(len(values), np.int64)
    return Channels(values, zeros, zeros, zeros, zeros, None)


@given(weights, st.booleans())
def test_unpacking_is_the_inverse_of_packing(values: np.ndarray, swaps: bool) -> None:
    order = (swapped_order if swaps else natural_order)(values.shape[1])
    packed = pack_nibbles(values, order)
    assert packed.shape == ((len(values) + 3) // 4, len(order))
    np.testing.assert_array_equal(unpack_nibbles(packed, len(values), order), values)


@given(weights, st.integers(1, 3))
def test_half_words_of_no_tap_are_zero(values: np.ndarray, absent: int) -> None:
    taps = values.shape[1] - absent
    values[:, taps:] = 0
    order = swapped_order(values.shape[1])
    real = np.arange(values.shape[1]) < taps
    packed = pack_nibbles(values, order, real)
    np.testing.assert_array_equal(unpack_nibbles(packed, len(values), order, real), values)
    first, second = np.array(order).T
    assert not (packed[:, first >= taps] & 0xFFFF).any()
    assert not (packed[:, second >= taps] >> 16).any()


@given(weights, st.integers(0, 2**32 - 1), st.integers(-128, 127))
def test_sums_of_four_channels_come_out_of_masks(
    values: np.ndarray, seed: int, zero_point: int
) -> None:
    """As the kernels compute them, in 32 bits, from a start with the inputs less a zero point."""
    order = natural_order(values.shape[1])
    x = np.random.default_rng(seed).integers(-128, 128, values.shape[1])
    start = -OFFSET * int((x - zero_point).sum())
    over = OFFSET * zero_point * len(x)
    rows = panel_rows(len(values)).reshape(-1, 4)
    for words, panel in zip(pack_nibbles(values, order), rows, strict=True):
        halves = np.stack([words & 0xFFFF, words >> 16], axis=1).reshape(-1).astype(np.int64)
        products = [int((halves & mask) @ x) for mask in (0xF, 0xFF, 0xFFF)]
        products.append(int(halves.astype(np.uint16).astype(np.int16).astype(np.int64) @ x))
        starts = (start, 17 * start, 273 * start, 273 * start)
        a, b, c, d = (in_int32(p + s) for p, s in zip(products, starts, strict=True))
        lower = (a, in_int32(b - a) >> 4, in_int32(c - b) >> 8)
        sums = (*(one - over for one in lower), in_int32(d - c) >> 12)
        assert sums == tuple(values[panel] @ x)


def in_int32(value: int) -> int:
    """What is left of it in 32 bits."""
    return (value + 2**31) % 2**32 - 2**31


@pytest.mark.parametrize(
    ("values", "fits"),
    [
        (np.full((4, 8), 7), True),
        (np.full((3, 8), 7), False),  # no whole panel
        (np.full((4, 8), 8), False),
        (np.full((4, 8), -9), False),
        (np.full((4, 511), -8), True),
        (np.full((4, 512), -8), False),  # the fourth channel's difference leaves int32
        (np.repeat([[0], [0], [-8], [0]], 4095, axis=1), True),
        (np.repeat([[0], [0], [-8], [0]], 4096, axis=1), False),  # the third's, with a zero point
    ],
)
def test_what_fits(values: np.ndarray, fits: bool) -> None:
    assert fit_nibbles(channels(values.astype(np.int64))) == fits


def layers(bits: int, per_channel: bool = True) -> Graph:
    b = GraphBuilder(seed=3)
    x = b.input((6, 6, 8))
    x = b.conv(x, 8, (1, 1), weight_bits=bits)
    x = b.conv(x, 8, (3, 3), padding=Padding(1, 1, 1, 1), weight_bits=bits)
    return b.finish(b.fully_connected(x, 12, weight_bits=bits, per_channel=per_channel))


@pytest.mark.parametrize("board", ["m4", "m7", "m33"])
def test_weights_of_four_bits_take_no_arena(board: str) -> None:
    plan = make_plan(layers(4), load_board(board))
    kernels = [step.kernel for step in plan.steps]
    assert all(step.expanded is None for step in plan.steps)
    assert kernels[0].startswith("conv_pointwise")
    assert kernels[2] == "fully_connected_s4"
    assert kernels[1].startswith(("conv_rows", "conv_patches"))


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "function"),
    [
        ((8, 8, 16), (3, 3), (1, 1), "conv_rows_s4"),
        ((16, 16, 16), (3, 3), (2, 2), "conv_rows_s4"),
        ((8, 8, 3), (3, 3), (1, 1), "conv_rows_s4"),
        ((16, 16, 3), (3, 3), (2, 2), "conv_rows"),  # few windows, in which an input seldom is
        ((8, 8, 16), (1, 1), (2, 2), "conv_rows"),
        ((1, 2, 512), (1, 1), (1, 1), "conv_pointwise_s4"),
        ((1, 2, 513), (1, 1), (1, 1), "conv_pointwise"),  # int16 does not hold the sums
    ],
)
def test_inputs_are_added_up_where_it_costs_least(
    shape: tuple[int, int, int], kernel: tuple[int, int], stride: tuple[int, int], function: str
) -> None:
    b = GraphBuilder(seed=3)
    edge = kernel[0] // 2
    padding = Padding(edge, edge, edge, edge)
    graph = b.finish(b.conv(b.input(shape), 4, kernel, stride, padding=padding, weight_bits=4))
    board = without_waits(load_board("m4"))
    known = all_candidates(graph, graph.ops[0], board, "nothing")
    chosen = next(one for one in known if one.name.startswith(("conv_rows", "conv_pointwise")))
    assert call_of(graph, 0, chosen).values["function"] == function


def test_a_form_smaller_than_four_bits_is_kept_to_save_flash() -> None:
    graph = layers(2)
    for op in graph.ops:
        assert choose(graph, op, load_board("m4"), saves="flash").expanded_bytes
        assert not choose(graph, op, load_board("m4"), saves="nothing").expanded_bytes
