"""Depthwise filters as their kernels store them, and layers that a kernel must not take."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from compress.ops import DepthwiseConv2D, Padding
from compress.types import Graph
from helpers.graph_builder import NONE, RELU, RELU6, Activation, GraphBuilder
from hil.board import load_board, without_limits
from hil.codegen.plan import make_plan
from hil.kernels.choice import candidates
from hil.tuned.requantize import Channels, channels_of
from hil.tuned_depthwise.records import (
    depthwise_channels,
    pack_records,
    rises_from_least,
    unpack_records,
)
from hil.tuned_depthwise.rows import filters, pack_rows, unpack_rows

SAME = Padding(1, 1, 1, 1)
M4 = without_limits(load_board("m4"))


def channels(weights: np.ndarray, seed: int) -> Channels:
    """Channels with these weights, (channels, taps), and random scales as they are proved."""
    rng = np.random.default_rng(seed)
    count = len(weights)
    right = rng.integers(1, 23, count)
    zero_point = rng.integers(-128, 128, count)
    return Channels(
        weights=weights,
        bias=rng.integers(-(2**28), 2**28, count),
        factor=2 * rng.integers(2**30, 2**31, count) - 2**32,
        constant=(zero_point << right) + (1 << (right - 1)),
        right_shift=right,
        clamp=None,
    )


def weights_of(taps: int) -> st.SearchStrategy[np.ndarray]:
    return st.integers(1, 5).flatmap(
        lambda count: arrays.arrays(np.int64, (count, taps), elements=st.integers(-128, 127))
    )


@given(weights_of(9), st.integers(0, 2**32 - 1))
def test_records_hold_a_channel(weights: np.ndarray, seed: int) -> None:
    known = channels(weights, seed)
    records = pack_records(known)
    assert records.shape == (len(weights), 5)
    taps, bias, right, zero_point = unpack_records(records)
    np.testing.assert_array_equal(taps, weights)
    np.testing.assert_array_equal(bias, known.bias)
    np.testing.assert_array_equal(right, known.right_shift)
    np.testing.assert_array_equal((zero_point << right) + (1 << (right - 1)), known.constant)
    np.testing.assert_array_equal(2 * records[:, 4].astype(np.int64) - 2**32, known.factor)


@given(st.integers(1, 4), st.integers(1, 5), st.data())
def test_rows_hold_every_weight(rows: int, columns: int, data: st.DataObject) -> None:
    weights = data.draw(weights_of(rows * columns))
    shaped = weights.reshape(len(weights), rows, columns)
    words = pack_rows(shaped, channels(weights, 0))
    np.testing.assert_array_equal(unpack_rows(words, rows, columns), shaped)


def layer(
    shape: tuple[int, int, int] = (12, 10, 4),
    kernel: tuple[int, int] = (3, 3),
    stride: tuple[int, int] = (1, 1),
    padding: Padding = SAME,
    activation: Activation = NONE,
    zero_point: int = -7,
    dilation: tuple[int, int] = (1, 1),
    multiplier: int = 1,
    weight_bits: int = 8,
    gain: float = 1.0,
) -> Graph:
    b = GraphBuilder()
    x = b.depthwise(
        b.input(shape),
        multiplier,
        kernel,
        stride,
        dilation,
        padding,
        activation,
        zero_point,
        gain,
        weight_bits=weight_bits,
    )
    return b.finish(x)


def depthwise(graph: Graph) -> DepthwiseConv2D:
    (op,) = graph.ops
    assert isinstance(op, DepthwiseConv2D)
    return op


def kernel_names(graph: Graph, board: str = "m4") -> list[str]:
    found = candidates(graph, graph.ops[0], without_limits(load_board(board)))
    return list(dict.fromkeys(kernel.name for kernel in found))


@pytest.mark.parametrize(
    ("graph", "first"),
    [
        (layer(), "depthwise_3x3"),
        (layer((12, 8, 4)), "depthwise_map"),
        (layer((12, 8, 300)), "depthwise_3x3"),
        (layer((300, 8, 4)), "depthwise_3x3"),
        (layer((3, 3, 4)), "depthwise_map3"),
        (layer(padding=Padding(1, 1, 0, 0)), "arm"),
        (layer(stride=(2, 2), padding=Padding(0, 1, 0, 1)), "depthwise_direct"),
        (layer((12, 300, 8), stride=(2, 2)), "depthwise_3x3_stride2"),
        (layer((1, 10, 4), stride=(2, 2)), "depthwise_3x3_stride2"),
        (layer(stride=(2, 2), padding=Padding(2, 1, 1, 1)), "arm"),
        (layer((11, 11, 4), stride=(2, 2), padding=Padding(1, 2, 1, 1)), "depthwise_direct"),
        (
            layer((12, 12, 4), stride=(2, 2), padding=Padding(0, 3, 0, 1)),
            "arm",
        ),
        (layer(stride=(1, 2)), "arm"),
        (layer(kernel=(5, 5)), "depthwise_rows"),
        (layer(kernel=(12, 10)), "depthwise_s8"),
    ],
)
def test_the_fastest_kernel_comes_first(graph: Graph, first: str) -> None:
    """`arm`: one of CMSIS-NN's."""
    name = kernel_names(graph)[0]
    assert ("arm" if name.startswith("arm_") else name) == first


@pytest.mark.parametrize(
    "graph",
    [
        layer(dilation=(2, 2), padding=Padding(2, 2, 2, 2)),
        layer(multiplier=2),
        layer(weight_bits=4),
        layer(gain=1e-6),  # factors above 1: shifts to the left
    ],
)
def test_other_layers_are_refused(graph: Graph) -> None:
    assert not any(name.startswith("depthwise_3x3") for name in kernel_names(graph))
    assert depthwise_channels(graph, depthwise(graph)) is None
    assert "depthwise_rows" not in kernel_names(graph)


@pytest.mark.parametrize("board", ["m0", "m3", "m55"])
def test_cores_without_their_instructions_are_refused(board: str) -> None:
    assert kernel_names(layer(), board) == kernel_names(layer((13, 10, 4)), board)
    assert not {"depthwise_3x3", "depthwise_rows"} & set(kernel_names(layer(), board))


@pytest.mark.parametrize(("result", "is_taken"), [(100.5, True), (128.5, False)])
def test_sums_that_cannot_be_doubled_are_refused(result: float, is_taken: bool) -> None:
    """Sums near `result` * 2**23, from 2**30 on too large, that round up or down by the input."""
    graph = layer((3, 3, 4), zero_point=-128)
    op = depthwise(graph)
    tensors = list(graph.tensors)
    source, weights, bias, out = (tensors[i] for i in (op.input, op.weights, op.bias, op.output))
    assert weights.data is not None
    assert bias.data is not None
    data = bias.data.copy()
    data[0] = int(result * 2**23) + source.zero_point * int(weights.data[..., 0].sum())
    tensors[op.bias] = replace(bias, data=data)
    tensors[op.output] = replace(out, scales=(source.scale * weights.scales[0] * 2.0**23,))
    changed = replace(graph, tensors=tuple(tensors))
    taps = weights.data.reshape(9, 4).T.astype(np.int64)
    assert channels_of(changed, op, taps) is not None
    assert (depthwise_channels(changed, op) is not None) == is_taken


@pytest.mark.parametrize(
    ("activation", "zero_point", "rises"),
    [(NONE, -128, True), (NONE, -127, False), (RELU, -20, True), (RELU6, 5, True)],
)
def test_results_rise_from_the_zero_point(
    activation: Activation, zero_point: int, rises: bool
) -> None:
    graph = layer(activation=activation, zero_point=zero_point)
    known = depthwise_channels(graph, depthwise(graph))
    assert known is not None
    assert rises_from_least(graph, depthwise(graph), known) == rises


def test_filters_of_narrow_maps_are_turned() -> None:
    wide, tall = layer((1, 30, 2), (1, 5), padding=Padding()), layer((30, 1, 2), (5, 1))
    for graph, shape in ((wide, (2, 1, 5)), (tall, (2, 1, 5))):
        known = depthwise_channels(graph, depthwise(graph))
        assert known is not None
        assert filters(graph, depthwise(graph), known).shape == shape


def test_outputs_lie_over_their_inputs() -> None:
    b = GraphBuilder()
    x = b.input((12, 12, 8))
    for stride in ((1, 1), (1, 1), (2, 2), (1, 1), (2, 2), (1, 1)):
        x = b.depthwise(x, stride=stride, padding=SAME, activation=RELU, zero_point=-128)
    plan = make_plan(b.finish(x), M4, "ram")
    assert {buffer.offset_bytes for buffer in plan.tensors.values()} == {0}
    assert plan.tensors_bytes == 12 * 12 * 8
