"""The NumPy reference against the oracles, layer by layer, and against plain Python integers."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compress.arithmetic.accumulate import accumulator_reach, accumulators
from compress.arithmetic.fixedpoint import INT8_MAX, INT8_MIN, clamp_range
from compress.errors import UnsupportedLayer, UserError
from compress.integer import reference
from compress.integer.check import check_graph
from compress.ops import (
    Activation,
    AveragePool2D,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Function,
    MaxPool2D,
    Padding,
)
from compress.tflite.exporter import export_tflite
from compress.tflite.read import read
from compress.tflite.undefined import undefined_samples
from compress.tflite.write import write
from compress.types import Array, Graph, IntArray, Samples
from helpers.graph_builder import NONE, GraphBuilder, random_inputs
from helpers.graph_examples import EXAMPLES, ds_cnn, every_op, mixed, residual, tiny_conv
from helpers.graph_strategies import (
    INT8_FUNCTIONS,
    INT16_KINDS,
    OP_KINDS,
    chain_graphs,
    single_int16_op_graphs,
    single_op_graphs,
)
from helpers.oracles import assert_oracles_agree, assert_oracles_compute, needs_oracle
from hil.measure.oracle_check import check_oracle

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def assert_equals_oracle(graph: Graph, seed: int) -> None:
    check_graph(graph)
    inputs = random_inputs(graph, 4, seed)
    outputs = reference.run(graph, inputs)
    samples = Samples(inputs, np.zeros(4, np.int64), outputs.reshape(4, -1))
    assert_oracles_agree(export_tflite(graph), samples)


@needs_oracle
@pytest.mark.parametrize("kind", OP_KINDS)
def test_every_operator_equals_the_oracle(kind: str) -> None:
    @settings(relaxed, max_examples=20)
    @given(single_op_graphs(kind), st.integers(0, 99))
    def check(graph: Graph, seed: int) -> None:
        assert_equals_oracle(graph, seed)

    check()


@needs_oracle
@pytest.mark.parametrize("kind", INT16_KINDS)
def test_every_operator_on_int16_equals_the_oracle(kind: str) -> None:
    @settings(relaxed, max_examples=15)
    @given(single_int16_op_graphs(kind), st.integers(0, 99))
    def check(graph: Graph, seed: int) -> None:
        assert_equals_oracle(graph, seed)
        # The narrowing at the end would hide the lower bits.
        inputs = random_inputs(graph, 4, seed)
        found = reference.trace(graph, inputs)[graph.ops[-2].output]
        assert found.dtype == np.int16
        file = read(export_tflite(graph))
        last = file.operators[-1]
        wide = replace(file, operators=file.operators[:-1], outputs=last.inputs)
        assert_oracles_compute(write(wide), graph, inputs, graph.ops[-2].output)

    check()


@needs_oracle
@settings(relaxed, max_examples=50)
@given(chain_graphs(), st.integers(0, 99))
def test_chains_equal_the_oracle(graph: Graph, seed: int) -> None:
    assert_equals_oracle(graph, seed)


@needs_oracle
@pytest.mark.parametrize("example", [*EXAMPLES, ds_cnn])
def test_examples_equal_the_oracle(example: Callable[[], Graph]) -> None:
    assert_equals_oracle(example(), seed=5)


def exact_accumulators(graph: Graph, op: object, x: IntArray) -> list[int]:
    """sum((x - zero point) * weight) + bias of every output, by loops over Python integers."""
    assert isinstance(op, Conv2D | DepthwiseConv2D | FullyConnected)
    tensors = graph.tensors
    weights, biases = tensors[op.weights].data.tolist(), tensors[op.bias].data.tolist()
    zero = tensors[op.input].zero_point
    if isinstance(op, FullyConnected):
        return [
            sum((a - zero) * w for a, w in zip(values, row, strict=True)) + bias
            for values in x.reshape(-1, len(weights[0])).tolist()
            for row, bias in zip(weights, biases, strict=True)
        ]
    _, height, width, channels = tensors[op.input].shape
    _, rows, columns, outputs = tensors[op.output].shape
    _, kernel_rows, kernel_columns, _ = tensors[op.weights].shape
    values = x.tolist()
    result = []
    for row, column, channel in itertools.product(range(rows), range(columns), range(outputs)):
        total = biases[channel]
        for i, j in itertools.product(range(kernel_rows), range(kernel_columns)):
            y = row * op.stride[0] + i * op.dilation[0] - op.padding.top
            z = column * op.stride[1] + j * op.dilation[1] - op.padding.left
            if not (0 <= y < height and 0 <= z < width):
                continue
            if isinstance(op, DepthwiseConv2D):
                source = channel // (outputs // channels)
                total += (values[y][z][source] - zero) * weights[0][i][j][channel]
            else:
                depth = len(weights[channel][i][j])
                first = channel // (outputs // (channels // depth)) * depth
                total += sum(
                    (values[y][z][first + c] - zero) * weights[channel][i][j][c]
                    for c in range(depth)
                )
        result.append(total)
    return result


@pytest.mark.parametrize("kind", ["conv", "depthwise", "fully_connected"])
def test_accumulators_equal_python_integers(kind: str) -> None:
    @settings(relaxed, max_examples=25)
    @given(single_op_graphs(kind), st.integers(0, 99))
    def check(graph: Graph, seed: int) -> None:
        inputs = random_inputs(graph, 2, seed)
        sums = accumulators(graph, graph.ops[0], inputs)
        for sample, found in zip(inputs, sums, strict=True):
            assert found.reshape(-1).tolist() == exact_accumulators(graph, graph.ops[0], sample)

    check()


@settings(relaxed, max_examples=50)
@given(st.sampled_from(["conv", "depthwise", "fully_connected"]), st.data())
def test_accumulators_of_int16_equal_python_integers(kind: str, data: st.DataObject) -> None:
    graph = data.draw(single_int16_op_graphs(kind))
    op = graph.ops[-2]
    x = reference.trace(graph, random_inputs(graph, 2))[op.input]
    sums = accumulators(graph, op, x)
    for sample, found in zip(x, sums, strict=True):
        assert found.reshape(-1).tolist() == exact_accumulators(graph, op, sample)


def test_no_sum_exceeds_the_reach_and_one_attains_it() -> None:
    b = GraphBuilder(seed=8)
    graph = b.finish(b.narrow(b.fully_connected(b.widen(b.input((60,))), 3)))
    op = graph.ops[1]
    weights, bias = graph.tensors[op.weights].data, graph.tensors[op.bias].data
    np.minimum(weights, -1, out=weights)
    np.maximum(bias, 1, out=bias)
    lowest = np.full((1, 60), -(2**15), np.int16)
    assert accumulators(graph, op, lowest)[0].tolist() == list(accumulator_reach(graph, op))


@pytest.mark.parametrize("elements", [1000, 1040, 5000])
def test_accumulators_are_exact_beyond_single_precision(elements: int) -> None:
    # All products have one sign: sums pass 2**24, where float32 no longer holds every integer.
    b = GraphBuilder(seed=elements)
    graph = b.finish(b.fully_connected(b.input((elements,), zero_point=0), 2))
    op = graph.ops[0]
    weights = graph.tensors[op.weights].data
    weights[:] = np.random.default_rng(0).integers(120, 128, weights.shape)
    inputs = np.random.default_rng(1).integers(120, 128, (1, elements)).astype(np.int8)
    for x in (inputs, ~inputs):
        assert accumulators(graph, op, x)[0].tolist() == exact_accumulators(graph, op, x)


@settings(relaxed, max_examples=40)
@given(single_op_graphs("max_pool") | single_op_graphs("average_pool"), st.integers(0, 99))
def test_pools_see_only_what_is_inside(graph: Graph, seed: int) -> None:
    op = graph.ops[0]
    assert isinstance(op, AveragePool2D | MaxPool2D)
    x = random_inputs(graph, 1, seed)
    out = reference.run(graph, x)[0]
    height, width = x.shape[1:3]
    for row, column in np.ndindex(out.shape[:2]):
        top, left = row * op.stride[0] - op.padding.top, column * op.stride[1] - op.padding.left
        window = x[
            0,
            max(top, 0) : min(top + op.filter[0], height),
            max(left, 0) : min(left + op.filter[1], width),
        ].astype(float)
        limits = clamp_range(graph.tensors[op.output], op.activation)
        if isinstance(op, MaxPool2D):
            np.testing.assert_array_equal(out[row, column], window.max((0, 1)).clip(*limits))
        else:
            assert np.abs(out[row, column] - window.mean((0, 1)).clip(*limits)).max() <= 0.5


@settings(relaxed, max_examples=40)
@given(st.floats(1e-4, 2.0), st.integers(2, 40), st.integers(0, 99))
def test_softmax_is_close_to_the_real_one(scale: float, classes: int, seed: int) -> None:
    b = GraphBuilder()
    graph = b.finish(b.softmax(b.input((classes,), scale)))
    x = random_inputs(graph, 3, seed)
    exponentials = np.exp((x.astype(float) - x.max(1, keepdims=True)) * graph.tensors[0].scale)
    real = exponentials / exponentials.sum(1, keepdims=True)
    found = (reference.run(graph, x).astype(float) + 128) / 256
    assert np.abs(found - np.minimum(real, 255 / 256)).max() <= 0.51 / 256


@needs_oracle
@settings(relaxed, max_examples=20)
@given(st.floats(1e-3, 1.0), st.integers(512, 4095), st.integers(0, 99))
def test_softmax_of_many_classes_equals_the_oracle_where_it_is_defined(
    scale: float, classes: int, seed: int
) -> None:
    b = GraphBuilder()
    graph = b.finish(b.softmax(b.input((classes,), scale)))
    inputs = random_inputs(graph, 4, seed)
    inputs[2:] //= 8
    undefined = undefined_samples(graph, inputs)
    real = np.exp((inputs.astype(float) - inputs.max(1, keepdims=True)) * graph.tensors[0].scale)
    np.testing.assert_array_equal(undefined, real.sum(1) >= 512)
    if not undefined.all():
        assert_oracles_compute(export_tflite(graph), graph, inputs[~undefined])
    if undefined.any():
        assert (reference.run(graph, inputs[undefined]) == -128).all()


@needs_oracle
def test_softmax_of_many_classes_to_int16_is_always_defined() -> None:
    b = GraphBuilder()
    graph = b.finish(b.softmax(b.input((4095,), 1e-3), "int16"))
    inputs = random_inputs(graph, 4)
    assert not undefined_samples(graph, inputs).any()
    assert_equals_oracle(graph, 0)


def test_samples_that_no_oracle_defines_are_set_aside() -> None:
    b = GraphBuilder()
    graph = b.finish(b.softmax(b.input((600,), 0.1)))
    inputs = random_inputs(graph, 3)
    inputs[1] = 7
    samples = Samples(inputs, np.zeros(3, np.int64), reference.run(graph, inputs))
    judged = check_oracle(export_tflite(graph), samples)
    assert "1 of 3 samples: a softmax whose exponentials add up to 512" in judged.remarks[0]
    equal = Samples(inputs[1:2], np.zeros(1, np.int64), reference.run(graph, inputs[1:2]))
    assert check_oracle(export_tflite(graph), equal).oracles == ()


def test_requantization_to_the_same_scale_is_the_identity() -> None:
    b = GraphBuilder()
    graph = b.finish(b.requantize(b.input((256,), 0.3, 11), 0.3, 11))
    every = np.arange(INT8_MIN, INT8_MAX + 1).astype(np.int8)[np.newaxis]
    np.testing.assert_array_equal(reference.run(graph, every), every)


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_sample_does_not_depend_on_its_batch(
    example: Callable[[], Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = example()
    inputs = random_inputs(graph, 7)
    together = reference.run(graph, inputs)
    monkeypatch.setattr(reference, "_BLOCK_ELEMENTS", 1)
    np.testing.assert_array_equal(reference.run(graph, inputs), together)


@pytest.mark.parametrize("example", [every_op, mixed])
def test_trace_holds_every_activation(example: Callable[[], Graph]) -> None:
    graph = example()
    inputs = random_inputs(graph, 3)
    values = reference.trace(graph, inputs)
    assert set(values) == {i for i, t in enumerate(graph.tensors) if t.data is None}
    for index, value in values.items():
        assert value.dtype == graph.tensors[index].item
        assert value.shape == (3, *graph.tensors[index].shape[1:])
    np.testing.assert_array_equal(values[graph.input], inputs)
    np.testing.assert_array_equal(values[graph.output], reference.run(graph, inputs))


def test_inputs_of_another_shape_or_type_are_refused() -> None:
    graph = residual()
    inputs = random_inputs(graph, 2)
    for wrong in (inputs[0], inputs.astype(np.float32), inputs[:, :-1], inputs[:0]):
        with pytest.raises(UserError, match="must be int8"):
            reference.run(graph, wrong)


def test_an_accumulator_beyond_int32_is_unsupported() -> None:
    graph = tiny_conv()
    graph.tensors[graph.ops[0].bias].data[0] = 2**31 - 1
    with pytest.raises(UnsupportedLayer, match="conv_0: accumulators may reach"):
        reference.run(graph, random_inputs(graph, 1))


def test_padding_holds_the_zero_point() -> None:
    # A window of zero-point values sums to nothing, so the corner sees one element only.
    b = GraphBuilder()
    x = b.input((1, 1, 1), zero_point=100)
    graph = b.finish(b.conv(x, 1, (3, 3), padding=Padding(2, 0, 2, 0)))
    op = graph.ops[0]
    weight = int(graph.tensors[op.weights].data[0, 2, 2, 0])
    bias = int(graph.tensors[op.bias].data[0])
    sums = accumulators(graph, op, np.array([[[[-28]]]], np.int8))
    assert sums.reshape(-1).tolist() == [-128 * weight + bias]


@needs_oracle
@pytest.mark.parametrize("activation", Activation)
def test_rescaling_at_ties_has_the_precision_of_the_oracle(activation: Activation) -> None:
    # Ratios of (k + 1/2) / m put outputs on ties, where single and double precision differ.
    every = np.arange(INT8_MIN, INT8_MAX + 1).astype(np.int8)[np.newaxis]
    for seed in range(40):
        rng = np.random.default_rng(seed)
        b = GraphBuilder(seed)
        x = b.input((256,), rng.uniform(0.01, 1))
        ratio = (rng.integers(1, 100) + 0.5) / rng.integers(1, 128)
        graph = b.finish(b.requantize(x, b.tensors[x].scale / ratio, -128, activation))
        assert_oracles_compute(export_tflite(graph), graph, every)


@needs_oracle
@pytest.mark.parametrize("kind", ["mul", "leaky_relu"])
def test_products_of_scales_at_ties_have_the_precision_of_the_oracle(kind: str) -> None:
    every = np.arange(INT8_MIN, INT8_MAX + 1).astype(np.int8)
    inputs = np.stack([np.roll(every, shift) for shift in range(8)])
    for seed in range(40):
        rng = np.random.default_rng(seed)
        b = GraphBuilder(seed)
        x = b.input((256,), float(np.float32(rng.uniform(0.01, 1))))
        ratio = (rng.integers(1, 100) + 0.5) / rng.integers(1, 128)
        if kind == "mul":
            y = b.constant((256,), float(np.float32(rng.uniform(0.01, 1))))
            scale = b.tensors[x].scale * b.tensors[y].scale / ratio * 64
            out = b.mul(x, y)
        else:
            alpha = float(np.float32(rng.uniform(0.1, 1)))
            scale = b.tensors[x].scale * alpha / ratio
            out = b.lookup(x, Function.LEAKY_RELU, scale, -100, alpha)
        b.tensors[out] = replace(b.tensors[out], scales=(float(np.float32(scale)),))
        graph = b.finish(out)
        assert_oracles_compute(export_tflite(graph), graph, inputs)


@needs_oracle
@pytest.mark.parametrize("kind", ["add", "subtract", "mul"])
def test_every_pair_of_values_equals_the_oracle(kind: str) -> None:
    every = np.arange(INT8_MIN, INT8_MAX + 1).astype(np.int8)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        b = GraphBuilder(seed)
        x = b.input((256,), rng.uniform(0.01, 1), int(rng.integers(-128, 128)))
        y = b.constant((256,), rng.uniform(0.01, 1), int(rng.integers(-128, 128)))
        b.tensors[y].data[:] = every
        gain = rng.uniform(0.05, 1)
        out = b.mul(x, y, gain=gain) if kind == "mul" else b.add(x, y, NONE, 0, gain, kind != "add")
        graph = b.finish(out)
        shifted = np.stack([np.roll(every, shift) for shift in range(256)])
        assert_oracles_compute(export_tflite(graph), graph, shifted)


@needs_oracle
@pytest.mark.parametrize("function", INT8_FUNCTIONS)
def test_every_entry_of_a_table_equals_the_oracle(function: Function) -> None:
    every = np.arange(INT8_MIN, INT8_MAX + 1).astype(np.int8)[np.newaxis]
    for seed in range(60):
        rng = np.random.default_rng(seed)
        b = GraphBuilder(seed)
        largest = -0.5 if function is Function.EXP else 1  # exp(255 * scale) is finite
        x = b.input((256,), 10 ** rng.uniform(-3, largest), int(rng.integers(-128, 128)))
        scale, zero_point = b.tensors[x].scale * 10 ** rng.uniform(-1.9, 1), rng.integers(-128, 128)
        graph = b.finish(b.lookup(x, function, scale, int(zero_point), rng.uniform(0, 1.5)))
        assert_oracles_compute(export_tflite(graph), graph, every)


@needs_oracle
def test_a_mean_over_many_elements_equals_the_oracle() -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        b = GraphBuilder(seed)
        x = b.input((*rng.integers(1, 60, 2).tolist(), 5), rng.uniform(0.01, 1))
        # Half of the ratios put outputs on ties.
        ratio = 1.0 if seed % 2 else (rng.integers(1, 100) + 0.5) / rng.integers(1, 128)
        graph = b.finish(b.mean(x, scale=b.tensors[x].scale / ratio, zero_point=-3))
        inputs = random_inputs(graph, 4, seed)
        inputs[:2] = inputs[:2] > rng.integers(-128, 128, (2, 1, 1, 5))
        inputs[1] *= 77
        assert_oracles_compute(export_tflite(graph), graph, inputs)


@pytest.mark.parametrize("scale", [0.003, 0.02, 0.1])
def test_tables_are_close_to_the_real_functions(scale: float) -> None:
    real: dict[Function, Callable[[Array], Array]] = {
        Function.LEAKY_RELU: lambda x: np.where(x < 0, 0.3 * x, x),
        Function.HARD_SWISH: lambda x: x * np.clip(x + 3, 0, 6) / 6,
        Function.LOGISTIC: lambda x: 1 / (1 + np.exp(-x)),
        Function.TANH: np.tanh,
        Function.ABS: np.abs,
        Function.ELU: lambda x: np.where(x < 0, np.expm1(np.minimum(x, 0)), x),
        Function.EXP: np.exp,
        Function.RSQRT: lambda x: 1 / np.sqrt(np.maximum(x, 1e-30)),
    }
    every = np.arange(INT8_MIN, INT8_MAX + 1).astype(np.int8)[np.newaxis]
    for function in INT8_FUNCTIONS:
        b = GraphBuilder()
        graph = b.finish(b.lookup(b.input((256,), scale, 10), function, scale, 10, alpha=0.3))
        x, out = graph.input_tensor, graph.output_tensor
        wanted = real[function]((every - 10.0) * x.scale) / out.scale + out.zero_point
        found = reference.run(graph, every)
        # Rounding twice, and to int16 in HARD_SWISH, costs more than half a unit.
        assert np.abs(found - wanted.clip(INT8_MIN, INT8_MAX)).max() < 1


@needs_oracle
def test_fully_connected_has_the_precision_of_the_oracle() -> None:
    # Narrow output scales make the last bits of the multiplier visible.
    for seed in range(10):
        b = GraphBuilder(seed)
        x = b.input((64,), b.rng.uniform(0.01, 1))
        assert_equals_oracle(b.finish(b.fully_connected(x, 256, gain=0.02)), seed)
