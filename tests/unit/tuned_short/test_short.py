"""Kernels with least code: what is packed can be read back, layers without a proof are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.ops import Padding
from compress.types import Graph
from helpers.graph_builder import RELU, GraphBuilder
from helpers.layer_twists import twisted
from hil.board import load_board
from hil.kernels.choice import all_candidates
from hil.tuned.panels import natural_order, pack_panels
from hil.tuned.requantize import Channels
from hil.tuned_kernels.registry import tuned_kernels
from hil.tuned_short.convolution import sparse_panels, unpack_sparse
from hil.tuned_short.scales import odd_zero_point, pack_scales, unpack_scales

M4 = load_board("m4")


def shorts(graph: Graph, board: str = "m4") -> set[str]:
    """The kernels with least code that take the last layer."""
    op = graph.ops[-1]
    return {
        found.name
        for kernel in tuned_kernels(op)
        if kernel.saves_flash
        for found in kernel.kernels(graph, op, load_board(board))
    }


@given(st.integers(4, 13), st.integers(1, 11), st.integers(0, 2**32 - 1))
def test_sparse_panels_have_an_inverse(channels: int, pairs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-128, 128, (channels, 2 * pairs)).astype(np.int64)
    weights[rng.random(weights.shape) < 0.6] = 0
    bits, values = sparse_panels(weights)
    assert (values != 0).all()
    np.testing.assert_array_equal(unpack_sparse(bits, values, channels), weights)


@given(st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_sparse_panels_are_those_of_the_micro_kernel(pairs: int, seed: int) -> None:
    """As fill_panel makes them: the upper byte of a half-word lacks what a negative lower takes."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (4, 2 * pairs)).astype(np.int64)
    weights[rng.random(weights.shape) < 0.6] = 0
    bits, values = sparse_panels(weights)
    flat = np.zeros(8 * bits.size, np.int8)
    flat[np.unpackbits(bits).astype(bool)] = values
    low, high = flat.reshape(-1, 2).astype(np.int64).T
    halves = (low + 256 * high).astype(np.uint16)
    packed = pack_panels(weights, natural_order(2 * pairs))
    np.testing.assert_array_equal(halves, packed.reshape(-1).view(np.uint16))


def channels_of(factor: int, bias: int, constant: int, right_shift: int) -> Channels:
    def array(value: int) -> np.ndarray:
        return np.array([value], np.int64)

    weights = np.zeros((1, 2), np.int64)
    values = (array(bias), array(factor), array(constant), array(right_shift))
    return Channels(weights, *values, None)


@given(
    st.integers(-(2**31), -1),
    st.integers(1 - 2**26, 2**26 - 1),
    st.integers(-128, 127),
    st.integers(1, 22),
)
def test_scales_have_an_inverse(factor: int, bias: int, zero: int, right: int) -> None:
    constant = (zero << right) + (1 << right - 1)
    words = pack_scales(channels_of(factor, bias, constant, right), zero)
    assert words is not None
    assert [int(one[0]) for one in unpack_scales(words)] == [factor, bias, right]
    assert odd_zero_point(zero) * (1 << right - 1) == constant


@given(st.integers(-128, 127), st.integers(-128, 127))
def test_a_constant_result_needs_no_zero_point_of_its_own(result: int, zero: int) -> None:
    """What the kernels compute of a bias: hil/tuned/requantize.py."""
    words = pack_scales(channels_of(-(2**31), 0, 2 * result + 1, 1), zero)
    assert words is not None
    factor, bias, right = (int(one[0]) for one in unpack_scales(words))
    scaled = bias + (bias * factor + 2**31 >> 32)
    constant = odd_zero_point(zero) * (1 << right - 1)
    assert scaled - (bias < 0) + constant >> right == result


def test_a_large_bias_is_refused() -> None:
    assert pack_scales(channels_of(-5, 2**26, 1, 1), 0) is None
    b = GraphBuilder(seed=2)
    x = b.input((4, 4, 4))
    for graph in (b.finish(b.conv(x, 4, (1, 1))), b.finish(b.depthwise(x))):
        assert shorts(graph)
        assert not shorts(twisted(graph, "sums of 29.3 bits"))


def test_layers_are_taken_on_cores_with_dsp_to_save_flash_only() -> None:
    b = GraphBuilder(seed=2)
    x = b.depthwise(b.conv(b.input((8, 8, 3)), 8, stride=(2, 1)), padding=Padding(2, 1, 0, 1))
    graph = b.finish(b.average_pool(x, b.tensors[x].shape[1:3], activation=RELU))
    for op, name in zip(
        graph.ops, ("conv_short", "depthwise_short", "average_pool_short"), strict=True
    ):
        assert name in {kernel.name for kernel in all_candidates(graph, op, M4, "flash")}
        assert name not in {kernel.name for kernel in all_candidates(graph, op, M4, "nothing")}
        assert name not in {kernel.name for kernel in all_candidates(graph, op, M4, "ram")}
    for board in ("m3", "m55"):
        assert not shorts(graph, board)


@pytest.mark.parametrize(
    ("shape", "window"), [((4, 4, 6), (4, 4)), ((4, 4, 8), (2, 2)), ((16, 16, 8), (16, 16))]
)
def test_pools_that_are_refused(shape: tuple[int, int, int], window: tuple[int, int]) -> None:
    b = GraphBuilder()
    assert not shorts(b.finish(b.average_pool(b.input(shape), window)))


def test_means_on_uint8_are_left_to_other_kernels() -> None:
    b = GraphBuilder()
    graph = b.finish(b.average_pool(b.input((4, 4, 8)), (4, 4)))
    assert shorts(graph)
    assert not shorts(replace(graph, uint8=True))


def test_sparse_weights_are_wanted_where_they_are_smaller() -> None:
    b = GraphBuilder(seed=3)
    graph = b.finish(b.conv(b.input((4, 4, 16)), 8, (1, 1)))
    weights = graph.tensors[graph.ops[-1].weights].data  # type: ignore[union-attr]
    assert weights is not None
    assert shorts(graph) == {"conv_short"}
    weights[..., ::2] = 0
    assert shorts(graph) == {"conv_short", "conv_short_sparse"}
    weights[:] = 0
    assert shorts(graph) == {"conv_short", "conv_short_sparse"}
