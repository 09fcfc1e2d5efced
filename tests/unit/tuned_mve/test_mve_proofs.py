"""Kernels for MVE are offered where they are exact, and for Cortex-M55 only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.arithmetic.fixedpoint import multiply_by_quantized_multiplier
from compress.integer import reference
from compress.ops import Padding
from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from hil.board import load_board
from hil.kernels.choice import all_candidates
from hil.tuned.requantize import channels_of
from hil.tuned_mve.panels import scaling_of

int32 = st.integers(-(2**31) + 2, 2**31 - 1)


def names(graph: Graph, board: str = "m55") -> set[str]:
    """The kernels that are offered for the last operator."""
    return {k.name for k in all_candidates(graph, graph.ops[-1], load_board(board), "flash")}


def convolution(**changes: object) -> Graph:
    b = GraphBuilder(seed=1)
    options: dict[str, object] = {"channels": 8, "kernel": (3, 3), **changes}
    return b.finish(b.conv(b.input((6, 6, 4)), **options), "one")  # type: ignore[arg-type]


def depthwise(**changes: object) -> Graph:
    b = GraphBuilder(seed=1)
    return b.finish(b.depthwise(b.input((8, 8, 4)), **changes), "one")  # type: ignore[arg-type]


def with_scale(graph: Graph, factor: float) -> Graph:
    """The graph, its output's scale multiplied."""
    out = graph.ops[-1].output
    tensors = list(graph.tensors)
    tensors[out] = replace(tensors[out], scales=(tensors[out].scale * factor,))
    return replace(graph, tensors=tuple(tensors))


def test_a_convolution_is_offered_on_the_m55_only() -> None:
    assert "convolve_mve" in names(convolution())
    assert "convolve_mve" not in names(convolution(), "m4") | names(convolution(), "m3")


@pytest.mark.parametrize(
    "graph",
    [
        convolution(dilation=(2, 1)),
        convolution(groups=2),
        convolution(weight_bits=4),
        with_scale(convolution(), 1e-4),  # shifts to the left
    ],
)
def test_other_convolutions_are_not(graph: Graph) -> None:
    assert "convolve_mve" not in names(graph)


def test_a_depthwise_convolution_is_offered_up_to_4x4() -> None:
    assert "depthwise_mve" in names(depthwise(kernel=(4, 4), padding=Padding(1, 2, 1, 2)))


@pytest.mark.parametrize(
    "graph",
    [
        depthwise(kernel=(5, 3)),
        depthwise(kernel=(3, 5)),
        depthwise(multiplier=2),
        depthwise(stride=(1, 3)),
        depthwise(dilation=(1, 2)),
        depthwise(weight_bits=4),
        with_scale(depthwise(), 1e-4),
    ],
)
def test_other_depthwise_convolutions_are_not(graph: Graph) -> None:
    assert "depthwise_mve" not in names(graph)


def test_fully_connected_layers_of_a_row_and_of_rows() -> None:
    b = GraphBuilder(seed=1)
    row = b.finish(b.fully_connected(b.input((6, 4)), 5), "row")
    b = GraphBuilder(seed=1)
    rows = b.finish(b.fully_connected(b.input((6, 4)), 5, by_row=True), "rows")
    assert "fully_connected_mve" in names(row)
    assert "convolve_mve" not in names(row)
    assert "convolve_mve" in names(rows)
    assert "fully_connected_mve" not in names(rows)


def test_a_sum_needs_an_operand_that_is_halved() -> None:
    """The one with the larger scale is, but its sign is the other one if it is subtracted."""

    def sum_of(left_scale: float, right_scale: float, subtract: bool = False) -> Graph:
        b = GraphBuilder(seed=1)
        left = b.input((4, 4, 3), left_scale)
        right = b.requantize(left, right_scale)
        return b.finish(b.add(left, right, subtract=subtract), "sum")

    assert "add_mve" in names(sum_of(0.05, 0.03))
    assert "add_mve" in names(sum_of(0.03, 0.05))
    assert "add_mve" in names(sum_of(0.05, 0.03, subtract=True))
    assert "add_mve" not in names(sum_of(0.03, 0.05, subtract=True))


def requantized(sums: np.ndarray, m: int, right: int) -> np.ndarray:  # type: ignore[type-arg]
    """What the instructions do: VQRDMULH, VQDMLAH by 1, VRSHL, each saturating, as Armv8-M says."""

    def saturated(values: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return np.clip(values, -(2**31), 2**31 - 1)

    high = saturated((2 * sums.astype(object) * m + 2**31) >> 32)
    lowered = saturated(((high << 32) + 2 * high) >> 32)
    return ((lowered + (1 << (right - 1))) >> right).astype(np.int64)


@given(st.lists(int32, min_size=1, max_size=20), st.integers(2**30, 2**31 - 1), st.integers(1, 31))
def test_the_double_rounding_is_the_references(sums: list[int], m: int, right: int) -> None:
    values = np.array(sums, np.int64)
    wanted = multiply_by_quantized_multiplier(values, m, -right)
    np.testing.assert_array_equal(requantized(values, m, right), wanted)


@given(st.integers(-128, 127), st.integers(-(2**20), 2**20))
def test_a_constant_channel_gives_its_value(zero_point: int, bias_steps: int) -> None:
    """A channel without weights: the bias alone decides."""
    b = GraphBuilder(seed=3)
    graph = b.finish(b.conv(b.input((3, 3, 4)), 4, (1, 1), zero_point=zero_point), "constant")
    op = graph.ops[0]
    tensors = list(graph.tensors)
    for index, value in ((op.weights, 0), (op.bias, bias_steps)):
        data = tensors[index].data
        assert data is not None
        tensors[index] = replace(tensors[index], data=np.full_like(data, value))
    graph = replace(graph, tensors=tuple(tensors))
    wanted = reference.run(graph, np.zeros((1, 3, 3, 4), np.int8))[0, 0, 0]
    channels = channels_of(graph, op, np.zeros((4, 4), np.int64))
    assert channels is not None
    scaling = scaling_of(channels, zero_point)
    for channel in range(4):
        m, right = int(scaling.multiplier[channel]), int(scaling.right_shift[channel])
        got = requantized(scaling.bias[channel : channel + 1], m, right)[0] + scaling.zero
        assert min(127, max(-128, got)) == wanted[channel]
