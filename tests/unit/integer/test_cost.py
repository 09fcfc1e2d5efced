"""Analytic cost against numbers worked out by hand."""

import numpy as np
import pytest

from compress.integer.cost import (
    bops,
    cost,
    macs,
    peak_activation_bytes,
    total_macs,
    weight_bits,
    weight_bytes,
    zero_share,
)
from compress.ops import Padding
from compress.types import Tensor
from helpers.graph_builder import GraphBuilder
from helpers.graph_examples import ds_cnn, residual


def test_ds_cnn_has_the_published_macs_and_peak() -> None:
    # MLPerf Tiny's keyword spotter: 125 * 64 * (40 + 4 * (9 + 64)) + 64 * 12; two 25x5x64 tensors.
    costs = cost(ds_cnn())
    assert costs.macs == 2_656_768
    assert costs.peak_activation_bytes == 16_000


def test_macs_per_operator() -> None:
    b = GraphBuilder()
    x = b.conv(b.input((6, 5, 3)), 4, (3, 2), padding=Padding(1, 1, 0, 0))
    x = b.depthwise(x, 2, (2, 2))
    x = b.max_pool(x, (5, 3))
    graph = b.finish(b.softmax(b.fully_connected(x, 7)))
    conv = 6 * 4 * 4 * (3 * 2 * 3)
    depthwise = 5 * 3 * 8 * (2 * 2)
    assert [macs(graph, op) for op in graph.ops] == [conv, depthwise, 0, 8 * 7, 0]
    assert total_macs(graph) == conv + depthwise + 8 * 7


def test_weight_bytes_count_weights_and_four_byte_biases() -> None:
    b = GraphBuilder()
    x = b.conv(b.input((6, 5, 3)), 4, (3, 2))
    graph = b.finish(b.fully_connected(x, 7))
    elements = graph.tensors[x].elements
    assert weight_bytes(graph) == 4 * 3 * 2 * 3 + 4 * 4 + 7 * elements + 4 * 7


def test_bit_operations_are_macs_times_both_widths() -> None:
    b = GraphBuilder()
    x = b.conv(b.input((6, 5, 3)), 4, (3, 2), weight_bits=4)  # 4x4x4 out, 18 MACs each
    x = b.depthwise(b.widen(x), kernel=(2, 2))  # 3x3x4 out, 4 MACs each, on int16
    x = b.fully_connected(b.narrow(x), 7, weight_bits=2)
    conv, depthwise, dense = 4 * 4 * 4 * 18, 3 * 3 * 4 * 4, 36 * 7
    assert bops(b.finish(x)) == conv * 4 * 8 + depthwise * 8 * 16 + dense * 2 * 8


@pytest.mark.parametrize(
    ("values", "bits"),
    [([0, 0], 2), ([-2, 1], 2), ([-3, 1], 4), ([-2, 2], 4), ([-8, 7], 4), ([-9, 0], 8), ([8], 8)],
)
def test_weight_bits_are_those_that_the_values_need(values: list[int], bits: int) -> None:
    data = np.array(values, np.int8)
    assert weight_bits(Tensor("w", data.shape, "int8", (1.0,), data=data)) == bits


def test_zero_share_is_that_of_the_weights_alone() -> None:
    b = GraphBuilder()
    graph = b.finish(b.fully_connected(b.conv(b.input((2, 2, 1)), 2, (2, 2)), 3))
    assert zero_share(b.finish(b.softmax(0))) == 0  # the builder's weights have no part in it
    conv, dense = (graph.tensors[op.weights].data for op in graph.ops)
    conv[:], dense[:] = 1, 1  # 8 and 6 weights
    conv[0] = 0
    graph.tensors[graph.ops[0].bias].data[:] = 0
    assert zero_share(graph) == pytest.approx(4 / 14)


def test_int16_activations_take_two_bytes() -> None:
    b = GraphBuilder()
    x = b.widen(b.input((4, 4, 8)))
    assert peak_activation_bytes(b.finish(b.narrow(x))) == 3 * 4 * 4 * 8


def test_a_shared_constant_counts_once() -> None:
    b = GraphBuilder()
    x = b.conv(b.input((3, 3, 4)), 4, (1, 1))
    alone = weight_bytes(b.finish(x))
    y = b.conv(x, 4, (1, 1))
    assert weight_bytes(b.finish(y)) == 2 * alone
    first, second = b.ops
    b.ops[1] = type(second)("twin", second.input, first.weights, first.bias, second.output)
    assert weight_bytes(b.finish(y)) == alone


def test_a_shortcut_stays_alive_until_it_is_added() -> None:
    b = GraphBuilder()
    x = b.input((4, 4, 8))
    y = b.conv(x, 8, (1, 1))
    y = b.conv(y, 8, (1, 1))
    size = 4 * 4 * 8
    assert peak_activation_bytes(b.finish(y)) == 2 * size
    assert peak_activation_bytes(b.finish(b.add(x, y))) == 3 * size


def test_a_reshape_costs_nothing() -> None:
    b = GraphBuilder()
    x = b.reshape(b.reshape(b.input((4, 4, 8)), (128,)), (2, 64))
    graph = b.finish(x)
    assert cost(graph).macs == 0
    assert peak_activation_bytes(graph) == 128


def test_residual_peak() -> None:
    # The strided convolution holds 8x8x8 in, 4x4x12 out; the block's end 8x8x8 + 2 * 4x4x12.
    assert peak_activation_bytes(residual()) == 8 * 8 * 8 + 2 * 4 * 4 * 12


def test_an_element_wise_operator_needs_no_bytes_of_its_own() -> None:
    b = GraphBuilder()
    x = b.input((4, 4, 8))
    y = b.requantize(b.requantize(x))
    assert peak_activation_bytes(b.finish(y)) == 4 * 4 * 8
    # x is read again by the sum, so the second operand cannot take its place.
    assert peak_activation_bytes(b.finish(b.add(x, y))) == 2 * 4 * 4 * 8
