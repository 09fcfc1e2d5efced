"""Dead channels, made by hand: which go, which stay, and what the biases become."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest

from compress.integer import reference
from compress.integer.bounds import bounds
from compress.integer.check import check_graph
from compress.integer.cost import total_macs
from compress.integer.eliminate import eliminate
from compress.ops import Conv2D, DepthwiseConv2D, FullyConnected, Padding
from compress.tflite.importer import import_tflite
from compress.types import Array, Graph
from helpers.checkout import MLPERF_TINY
from helpers.graph_builder import RELU, GraphBuilder, float32, random_inputs
from hil.benchmark.samples import random_samples

FOLDER = MLPERF_TINY
SAME = Padding(1, 1, 1, 1)


def weights_of(b: GraphBuilder | Graph, tensor: int) -> Array:
    """Weights of the operator that makes `tensor`."""
    return constant_of(b, tensor, "weights")


def bias_of(b: GraphBuilder | Graph, tensor: int) -> Array:
    return constant_of(b, tensor, "bias")


def constant_of(b: GraphBuilder | Graph, tensor: int, field: str) -> Array:
    (op,) = (op for op in b.ops if op.output == tensor)
    data = b.tensors[getattr(op, field)].data
    assert data is not None
    return data


def kill(b: GraphBuilder, tensor: int, *channels: int, bias: int = 0) -> None:
    """Zero the kernels of these channels of `tensor`: with bias 0 they are its zero point."""
    weights = weights_of(b, tensor)
    (op,) = (op for op in b.ops if op.output == tensor)
    axis = 3 if isinstance(op, DepthwiseConv2D) else 0
    np.moveaxis(weights, axis, 0)[list(channels)] = 0
    bias_of(b, tensor)[list(channels)] = bias


def eliminated(graph: Graph, multiple: int = 1) -> Graph:
    """Without dead channels; valid, and equal on noise and extremes."""
    check_graph(graph)
    smaller = eliminate(graph, multiple)
    check_graph(smaller)
    noise = random_inputs(graph, 6)
    extremes = [np.full_like(noise[:1], value) for value in (-128, 127, 0)]
    inputs = np.concatenate([noise, *extremes])
    np.testing.assert_array_equal(reference.run(smaller, inputs), reference.run(graph, inputs))
    return smaller


def width(graph: Graph, tensor: int) -> int:
    return graph.tensors[tensor].shape[-1]


def test_a_constant_goes_into_the_next_bias() -> None:
    b = GraphBuilder(seed=1)
    x = b.conv(b.input((5, 5, 3)), 6, zero_point=4)
    kill(b, x, 1, 4, bias=5000)
    y = b.conv(x, 7, (1, 1))
    graph = b.finish(y)
    smaller = eliminated(graph)
    values = reference.trace(graph, random_inputs(graph, 1))[x][0, 0, 0]
    assert values[1] != 4  # else there is nothing to fold
    folded = bias_of(graph, y).astype(int)
    for channel in (1, 4):
        folded += (int(values[channel]) - 4) * weights_of(graph, y)[:, 0, 0, channel].astype(int)
    assert bias_of(smaller, y).tolist() == folded.tolist()
    np.testing.assert_array_equal(weights_of(smaller, y), weights_of(graph, y)[..., [0, 2, 3, 5]])
    np.testing.assert_array_equal(weights_of(smaller, x), weights_of(graph, x)[[0, 2, 3, 5]])
    assert total_macs(smaller) == 9 * 4 * 27 + 9 * 7 * 4


@pytest.mark.parametrize(
    ("bias", "padding", "center_only", "goes"),
    [
        (0, SAME, False, True),  # the zero point: what the padding holds, too
        (5000, SAME, False, False),
        (5000, Padding(0, 1, 0, 0), False, False),
        (5000, Padding(), False, True),
        (5000, SAME, True, True),  # the center never meets the padding
    ],
)
def test_at_the_border_a_constant_folds_only_where_it_is_exact(
    bias: int, padding: Padding, center_only: bool, goes: bool
) -> None:
    b = GraphBuilder(seed=2)
    x = b.conv(b.input((6, 6, 2)), 4)
    kill(b, x, 2, bias=bias)
    y = b.conv(x, 5, padding=padding)
    if center_only:
        center = weights_of(b, y)[:, 1, 1, 2].copy()
        weights_of(b, y)[..., 2] = 0
        weights_of(b, y)[:, 1, 1, 2] = center
    assert width(eliminated(b.finish(y)), x) == (3 if goes else 4)


def test_windows_that_only_meet_the_padding_at_unread_positions_fold() -> None:
    # Stride 2 on 4 elements with one element of padding below: no window reaches the padding.
    b = GraphBuilder(seed=3)
    x = b.conv(b.input((4, 4, 2)), 4, (1, 1))
    kill(b, x, 0, bias=3000)
    y = b.conv(x, 3, (2, 2), (2, 2), padding=Padding(0, 1, 0, 1))
    assert width(eliminated(b.finish(y)), x) == 3


@pytest.mark.parametrize(("both", "left"), [(True, 5), (False, 6)])
def test_a_skip_connection_loses_what_both_sides_can_do_without(both: bool, left: int) -> None:
    b = GraphBuilder(seed=4)
    x = b.conv(b.input((5, 5, 3)), 6, (1, 1))
    y = b.conv(x, 6, padding=SAME)
    kill(b, y, 3)
    if both:
        kill(b, x, 3)
    total = b.add(x, y, activation=RELU)
    graph = b.finish(b.conv(total, 4, (1, 1)))
    smaller = eliminated(graph)
    assert [width(smaller, tensor) for tensor in (x, y, total)] == [left] * 3


@pytest.mark.parametrize("dead", ["producer", "depthwise"])
def test_a_depthwise_convolution_goes_with_its_channels(dead: str) -> None:
    b = GraphBuilder(seed=5)
    x = b.conv(b.input((6, 6, 3)), 6, zero_point=-128, activation=RELU)
    y = b.depthwise(x, 2, padding=SAME, zero_point=-128, activation=RELU)
    if dead == "producer":
        kill(b, x, 0, 5, bias=-700)
    else:
        kill(b, y, 0, 1, 10, 11, bias=900)
    z = b.conv(y, 4, (1, 1))
    smaller = eliminated(b.finish(z))
    assert (width(smaller, x), width(smaller, y), width(smaller, z)) == (4, 8, 4)


def test_half_of_a_depthwise_pair_stays() -> None:
    b = GraphBuilder(seed=6)
    y = b.depthwise(b.conv(b.input((6, 6, 3)), 6), 2, padding=SAME)
    kill(b, y, 0, 3)
    graph = b.finish(b.conv(y, 4, (1, 1)))
    assert eliminated(graph) is graph


def test_depth_of_a_single_channel_is_a_convolution_like_any_other() -> None:
    b = GraphBuilder(seed=6)
    y = b.depthwise(b.input((6, 6, 1)), 5, padding=SAME)
    kill(b, y, 0, 3)
    assert width(eliminated(b.finish(b.conv(y, 4, (1, 1)))), y) == 3


def test_a_channel_that_nobody_reads_goes_up_the_chain() -> None:
    b = GraphBuilder(seed=7)
    x = b.conv(b.input((6, 6, 3)), 8)
    y = b.conv(b.max_pool(x, (2, 2)), 8, padding=SAME)
    weights_of(b, y)[..., 2] = 0
    z = b.conv(y, 4, (1, 1))
    weights_of(b, z)[..., [0, 7]] = 0
    # All that is left to read channel 5 of x are channels that nobody reads.
    weights_of(b, y)[1:7, ..., 5] = 0
    smaller = eliminated(b.finish(z))
    assert (width(smaller, x), width(smaller, y)) == (6, 6)


def test_a_saturated_channel_is_a_constant() -> None:
    b = GraphBuilder(seed=8)
    x = b.conv(b.input((4, 4, 2), zero_point=0), 4, (1, 1), zero_point=-128, activation=RELU)
    highest = 128 * int(np.abs(weights_of(b, x)[1].astype(int)).sum())
    bias_of(b, x)[1] = -highest  # never above zero
    bias_of(b, x)[2] = 2**24  # always at the top
    bias_of(b, x)[[0, 3]] = 0
    smaller = eliminated(b.finish(b.fully_connected(x, 3)))
    assert width(smaller, x) == 2


@pytest.mark.parametrize("weight", [-128, -127, 127])
def test_bounds_are_attained_where_operands_are_independent(weight: int) -> None:
    b = GraphBuilder(seed=9)
    x = b.fully_connected(b.input((3,)), 2, gain=20.0)
    weights_of(b, x)[:] = [[weight, 5, -3], [1, weight, weight]]
    graph = b.finish(x)
    signs = np.sign(weights_of(graph, x).astype(int))
    upper = np.where(signs > 0, 127, -128).astype(np.int8)
    for corner, found in ((upper, bounds(graph)[x].highest), (~upper, bounds(graph)[x].lowest)):
        attained = reference.run(graph, corner)
        assert np.diagonal(attained).tolist() == found[0].tolist()


def test_sums_that_wrap_around_are_not_taken_for_saturated() -> None:
    # Sums of 1 .. 4336 are shifted left by 20: the least and the largest come out positive, those
    # between 2048 and 4095 negative.
    b = GraphBuilder(seed=8)
    x = b.conv(b.input((1, 1, 1), zero_point=-128), 2, (1, 1), per_channel=False)
    weights_of(b, x)[:] = 17
    bias_of(b, x)[:] = 1
    (op,) = b.ops
    assert isinstance(op, Conv2D)
    scale = b.tensors[0].scale * b.tensors[op.weights].scale / 2**19.5
    b.tensors[x] = replace(b.tensors[x], scales=(float32(scale),))
    graph = b.finish(b.conv(x, 3, (1, 1), weight_scale=1e-4))
    every = np.arange(-128, 128, dtype=np.int8).reshape(-1, 1, 1, 1)
    assert np.unique(reference.trace(graph, every)[x]).tolist() == [-128, 127]
    assert eliminated(graph) is graph


def test_a_flattened_map_loses_every_position_of_a_channel() -> None:
    b = GraphBuilder(seed=9)
    x = b.conv(b.input((5, 5, 2)), 6)
    kill(b, x, 3, bias=4000)
    flat = b.reshape(b.average_pool(x, (2, 2), (1, 1)), (24,))
    y = b.fully_connected(flat, 5)
    graph = b.finish(y)
    smaller = eliminated(graph)
    assert (width(smaller, x), width(smaller, flat)) == (5, 20)
    kept = [i for i in range(24) if i % 6 != 3]
    np.testing.assert_array_equal(weights_of(smaller, y), weights_of(graph, y)[:, kept])


def test_channels_known_only_by_position_fold_into_a_linear_layer() -> None:
    # At the border the depthwise convolution sees the padding: another constant, but known.
    b = GraphBuilder(seed=10)
    x = b.conv(b.input((5, 5, 2)), 4, (1, 1))
    kill(b, x, 1, bias=6000)
    y = b.depthwise(x, padding=SAME)
    graph = b.finish(b.fully_connected(y, 3))
    assert len(np.unique(reference.trace(graph, random_inputs(graph, 1))[y][..., 1])) > 1
    assert width(eliminated(graph), y) == 3
    b.ops.pop()
    graph = b.finish(b.conv(y, 3, (1, 1)))
    assert eliminated(graph) is graph


def test_concatenations_and_added_channels_are_cut() -> None:
    b = GraphBuilder(seed=11)
    x = b.conv(b.input((4, 4, 2)), 5, (1, 1))
    kill(b, x, 0, 2)
    wider = b.pad(x, (0, 0, 0, 2), (0, 0, 0, 3), 17)
    joined = b.concatenate((x, wider))
    scaled = b.mul(joined, b.constant((15,)))
    graph = b.finish(b.conv(scaled, 4, (1, 1)))
    smaller = eliminated(graph)
    assert [width(smaller, tensor) for tensor in (x, wider, joined, scaled)] == [3, 3, 6, 6]


def test_operators_keep_sharing_what_they_cut_alike() -> None:
    b = GraphBuilder(seed=12)
    x = b.conv(b.input((4, 4, 2)), 6, (1, 1))
    y = b.conv(x, 5, (1, 1))
    z = b.conv(x, 5, (1, 1))
    first, second = b.ops[1:]
    assert isinstance(first, Conv2D)
    assert isinstance(second, Conv2D)
    b.ops[2] = type(second)(second.name, x, first.weights, first.bias, z)
    kill(b, x, 2, bias=1000)
    total = b.add(y, z)
    smaller = eliminated(b.finish(total))
    first, second = smaller.ops[1:3]
    assert isinstance(first, Conv2D)
    assert isinstance(second, Conv2D)
    assert (first.weights, first.bias) == (second.weights, second.bias)
    assert width(smaller, x) == 5
    # Of different rows they cannot share: of y a channel is read less than of z.
    b.ops.pop()
    joined = b.concatenate((b.requantize(y, 0.1, 0), b.requantize(z, 0.1, 0)))
    out = b.conv(joined, 3, (1, 1))
    weights_of(b, out)[..., 1] = 0
    smaller = eliminated(b.finish(out))
    assert (width(smaller, y), width(smaller, z)) == (4, 5)


def test_a_layer_that_is_dead_altogether_keeps_a_channel() -> None:
    b = GraphBuilder(seed=13)
    x = b.conv(b.input((4, 4, 2)), 6)
    kill(b, x, *range(6))
    y = b.conv(x, 5, (1, 1))
    smaller = eliminated(b.finish(y))
    assert (width(smaller, x), width(smaller, y)) == (1, 5)


def test_units_with_a_scale_each_are_two_at_least() -> None:
    # With one scale the multiplier would be computed in single precision.
    for seed in range(20):
        b = GraphBuilder(seed)
        x = b.fully_connected(b.input((7,)), 4, per_channel=True)
        kill(b, x, 0, 1, 2)
        smaller = eliminated(b.finish(b.fully_connected(x, 3, gain=0.1)))
        assert width(smaller, x) == 2


def test_input_and_output_keep_their_channels() -> None:
    b = GraphBuilder(seed=14)
    x = b.conv(b.input((4, 4, 3)), 5)
    weights_of(b, x)[..., 1] = 0
    kill(b, x, 0, 2, bias=100)
    graph = b.finish(b.max_pool(x, (2, 2)))
    assert eliminated(graph) is graph


@pytest.mark.parametrize(("dead", "left"), [(3, 12), (4, 8), (5, 8), (8, 4), (11, 4)])
def test_widths_may_be_kept_at_multiples(dead: int, left: int) -> None:
    b = GraphBuilder(seed=15)
    x = b.conv(b.input((4, 4, 3)), 12)
    kill(b, x, *range(dead), bias=300)
    smaller = eliminated(b.finish(b.conv(b.depthwise(x, kernel=(1, 1)), 4, (1, 1))), 4)
    assert width(smaller, x) == left
    assert eliminate(smaller, 4) is smaller


@pytest.mark.parametrize(("bias", "left"), [(2**31 - 10**6, 4), (2**31 - 10**9, 3)])
def test_a_bias_of_int16_that_would_leave_int32_is_refused(bias: int, left: int) -> None:
    b = GraphBuilder(seed=16)
    x = b.conv(b.widen(b.input((3, 3, 2))), 4, (1, 1))
    kill(b, x, 1, bias=2**29)  # the highest int16
    y = b.conv(x, 3, (1, 1), gain=3e4)
    weights_of(b, y)[..., 1] = 127
    bias_of(b, y)[:] = bias
    graph = b.finish(b.narrow(y))
    top = reference.trace(graph, random_inputs(graph, 1))[x][..., 1]
    assert (top.astype(int) * 127 > 10**6).all()
    assert width(eliminated(graph), x) == left


@functools.cache
def reference_model(name: str) -> Graph:
    path = FOLDER / f"{name}.tflite"
    if not path.exists():
        pytest.skip(f"needs the MLPerf Tiny models in {FOLDER}")
    return import_tflite(path.read_bytes(), name)


def weights_in(graph: Graph) -> int:
    weighted = (Conv2D, DepthwiseConv2D, FullyConnected)
    return sum(graph.tensors[op.weights].elements for op in graph.ops if isinstance(op, weighted))


def test_the_visual_wake_words_reference_is_half_dead() -> None:
    graph = reference_model("vww_96_int8")
    assert (total_macs(graph), weights_in(graph)) == (7_489_664, 208_112)
    smaller = eliminate(graph)
    check_graph(smaller)
    # Dropping what all-zero kernels make, and what follows, borders aside, leaves 3,742,091 and
    # 29,580; channels that nobody reads, and saturated ones, go on top.
    assert total_macs(smaller) <= 3_742_091
    assert weights_in(smaller) <= 29_580
    samples = random_samples(graph, 24)
    outputs = reference.run(smaller, samples.inputs).reshape(samples.outputs.shape)
    np.testing.assert_array_equal(outputs, samples.outputs)
    assert eliminate(smaller) is smaller


@pytest.mark.parametrize("name", ["kws_ref_model", "pretrainedResnet_quant", "ad01_int8"])
def test_the_other_references_have_nothing_to_lose(name: str) -> None:
    graph = reference_model(name)
    assert eliminate(graph) is graph
