"""Elimination on random graphs with random dead channels: every bit stays, nothing grows."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compress.integer import reference
from compress.integer.bounds import bounds
from compress.integer.check import check_graph
from compress.integer.cost import total_macs, weight_bytes
from compress.integer.eliminate import eliminate
from compress.ops import (
    Activation,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Padding,
    TransposeConv2D,
)
from compress.tflite.exporter import export_tflite
from compress.types import Array, Graph, Int8Array
from helpers.graph_builder import GraphBuilder, random_inputs
from helpers.graph_strategies import graphs, paddings
from helpers.oracles import needs_oracle, oracle_outputs

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
shares = st.sampled_from([0.0, 0.2, 0.6, 1.0])


def zero_channels(graph: Graph, seed: int, dead: float, silent: float, unread: float) -> None:
    """Shares of channels with a zero kernel, of those without a bias, and of unread inputs."""
    rng = np.random.default_rng(seed)
    for op in graph.ops:
        if isinstance(op, Conv2D | DepthwiseConv2D | FullyConnected | TransposeConv2D):
            weights, bias = graph.tensors[op.weights].data, graph.tensors[op.bias].data
            assert weights is not None
            assert bias is not None
            depthwise = isinstance(op, DepthwiseConv2D)
            rows = np.moveaxis(weights, 3 if depthwise else 0, 0)
            chosen = rng.random(len(rows)) < dead
            rows[chosen] = 0
            bias[chosen & (rng.random(len(rows)) < silent)] = 0
            if not depthwise:
                weights[..., rng.random(weights.shape[-1]) < unread] = 0


def inputs_for(graph: Graph, seed: int) -> Int8Array:
    noise = random_inputs(graph, 5, seed)
    coarse = np.where(noise[:3] < 0, np.int8(-128), np.int8(127))
    extremes = [np.full_like(noise[:1], value) for value in (-128, 127)]
    return np.concatenate([noise, coarse, *extremes])


def check(graph: Graph, inputs: Int8Array, multiple: int) -> Graph:
    """Assert the invariants of every elimination."""
    smaller = eliminate(graph, multiple)
    check_graph(smaller)
    np.testing.assert_array_equal(reference.run(smaller, inputs), reference.run(graph, inputs))
    assert smaller.input_tensor.shape == graph.input_tensor.shape
    assert smaller.output_tensor.shape == graph.output_tensor.shape
    assert total_macs(smaller) <= total_macs(graph)
    assert weight_bytes(smaller) <= weight_bytes(graph)
    assert eliminate(smaller, multiple) is smaller
    return smaller


@settings(relaxed, max_examples=250)
@given(
    graphs(),
    st.integers(0, 2**32 - 1),
    shares,
    shares,
    shares,
    st.sampled_from([1, 1, 2, 4]),
)
def test_any_graph_keeps_every_bit(
    graph: Graph, seed: int, dead: float, silent: float, unread: float, multiple: int
) -> None:
    zero_channels(graph, seed, dead, silent, unread)
    check(graph, inputs_for(graph, seed), multiple)


@settings(relaxed, max_examples=150)
@given(graphs(), st.integers(0, 2**32 - 1), shares, shares)
def test_no_value_leaves_its_bounds(graph: Graph, seed: int, dead: float, silent: float) -> None:
    zero_channels(graph, seed, dead, silent, 0.0)
    found = bounds(graph)
    for index, values in reference.trace(graph, inputs_for(graph, seed)).items():
        assert (found[index].lowest <= values).all()
        assert (values <= found[index].highest).all()
        assert found[index].lowest.dtype == values.dtype
        assert found[index].lowest.shape == (1, *values.shape[1:])


@st.composite
def networks(draw: st.DrawFn) -> tuple[Graph, int]:
    """Convolution, then operators that keep its channels, then one that mixes them.

    With it, the tensor of the convolution. At the end there is no padding, so that whatever the
    first convolution always says can be taken up there.
    """
    b = GraphBuilder(draw(st.integers(0, 2**32 - 1)))
    activation = draw(st.sampled_from(list(Activation)))
    x = b.input((7, 6, draw(st.integers(1, 3))), zero_point=draw(st.integers(-128, 127)))
    wide = draw(st.booleans())
    x = b.widen(x) if wide else x
    bits = draw(st.sampled_from([8, 4]))
    first = x = b.conv(
        x,
        draw(st.integers(2, 9)),
        padding=draw(paddings((3, 3), (1, 1))),
        activation=activation,
        zero_point=draw(st.integers(-128, 127)),
        weight_bits=bits,
        per_channel=draw(st.booleans()),
    )
    kinds = ["depthwise", "max_pool", "average_pool", "requantize", "add"]
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=3)):
        match kind:
            case "depthwise":
                x = b.depthwise(x, draw(st.integers(1, 2)), (2, 2), activation=activation)
            case "max_pool":
                x = b.max_pool(x, (2, 2), (1, 1), Padding(1, 0, 0, 1))
            case "average_pool":
                x = b.average_pool(x, (2, 1), (1, 1))
            case "requantize":
                x = b.requantize(x)
            case _:
                x = b.add(x, b.requantize(x, zero_point=7), activation)
    _, height, width, _ = b.tensors[x].shape
    if min(height, width) >= 2 and draw(st.booleans()):
        x = b.conv(x, draw(st.integers(1, 9)), (2, 2), (2, 1), weight_bits=bits)
    else:
        per_channel = draw(st.booleans())
        x = b.reshape(x, (b.tensors[x].elements,))
        x = b.fully_connected(x, draw(st.integers(1, 9)), per_channel=per_channel)
    return b.finish(b.narrow(x) if wide else x, "network"), first


def weights_of(graph: Graph, tensor: int) -> tuple[Array, Array]:
    (op,) = (op for op in graph.ops if op.output == tensor)
    assert isinstance(op, Conv2D)
    weights, bias = graph.tensors[op.weights].data, graph.tensors[op.bias].data
    assert weights is not None
    assert bias is not None
    return weights, bias


@settings(relaxed, max_examples=200)
@given(networks(), st.data())
def test_zeroed_channels_go(network: tuple[Graph, int], data: st.DataObject) -> None:
    graph, first = network
    weights, bias = weights_of(graph, first)
    dead = data.draw(st.sets(st.integers(0, len(bias) - 1), min_size=1))
    weights[list(dead)] = 0
    if data.draw(st.booleans()):
        bias[list(dead)] = 0
    smaller = check(graph, inputs_for(graph, 0), 1)
    assert smaller.tensors[first].shape[-1] <= max(1, len(bias) - len(dead))
    assert total_macs(smaller) < total_macs(graph) or len(bias) == 1
    assert weight_bytes(smaller) < weight_bytes(graph) or len(bias) == 1


@needs_oracle
@settings(relaxed, max_examples=40)
@given(networks(), st.integers(0, 2**32 - 1), shares, shares)
def test_the_oracle_answers_the_same(
    network: tuple[Graph, int], seed: int, dead: float, silent: float
) -> None:
    graph, _ = network
    zero_channels(graph, seed, dead, silent, 0.0)
    inputs = inputs_for(graph, seed)
    before = oracle_outputs(export_tflite(graph), inputs)
    after = oracle_outputs(export_tflite(eliminate(graph)), inputs)
    for package in before.keys() & after.keys():
        np.testing.assert_array_equal(after[package], before[package], package)
