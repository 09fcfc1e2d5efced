"""Models in TensorFlow 1's uint8 quantization against tflite-runtime, which runs them as such."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from compress.arithmetic.accumulate import accumulators
from compress.errors import HilError, UnsupportedLayer
from compress.integer import reference
from compress.integer.bounds import bounds
from compress.integer.check import check_graph
from compress.integer.eliminate import eliminate
from compress.ops import (
    BatchMatMul,
    Conv2D,
    FullyConnected,
    Function,
    Lookup,
    ResizeBilinear,
    Table,
)
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.tflite.oracle import RUNTIME
from compress.tflite.read import read
from compress.tflite.write import write
from compress.tflite_records.file import BuiltinOperator, FileOperator
from compress.types import Graph, Int8Array, Samples
from helpers.graph_builder import GraphBuilder, random_inputs
from helpers.graph_strategies import (
    OP_KINDS,
    builders,
    chain_graphs,
    single_op_graphs,
    zero_points,
)
from helpers.uint8_graphs import in_uint8
from hil.measure.oracle_check import check_oracle

relaxed = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
needs_runtime = pytest.mark.skipif(
    importlib.util.find_spec("tflite_runtime") is None or not np.__version__.startswith("1."),
    reason="no tflite-runtime",
)
seeds = st.integers(0, 2**32 - 1)
gains = st.sampled_from([0.5, 1.0, 2.0]) | st.floats(0.01, 100)  # of scales
# Kernels that TFLite does not have on uint8, or that compute in float32 there.
_ABSENT = (Function.ABS, Function.ELU, Function.EXP, Function.RSQRT)
_ABSENT_KINDS = ("resize_bilinear", "table", "matmul")


def is_valid(graph: Graph) -> bool:
    try:
        check_graph(graph)
    except HilError:
        return False
    return not any(
        (isinstance(op, Lookup) and op.function in _ABSENT)
        or isinstance(op, (ResizeBilinear, Table, BatchMatMul))
        # What release 2.14 computes for more dimensions is not what later ones do.
        or (isinstance(op, FullyConnected) and len(graph.tensors[op.output].shape) != 2)
        for op in graph.ops
    )


def assert_equal(graph: Graph, inputs: Int8Array) -> None:
    """The graph, the runtime on its file, and what the import makes of that agree."""
    outputs, stored = reference.run(graph, inputs), export_tflite(graph)
    found = RUNTIME.interpret(stored, inputs)
    np.testing.assert_array_equal(found.reshape(outputs.shape), outputs)
    again = import_tflite(stored, graph.name)
    assert again.uint8
    np.testing.assert_array_equal(reference.run(again, inputs), outputs)


@needs_runtime
@pytest.mark.parametrize("kind", [kind for kind in OP_KINDS if kind not in _ABSENT_KINDS])
def test_every_operator_equals_tflite_runtime(kind: str) -> None:
    unlike_int8 = ("conv", "depthwise", "fully_connected", "average_pool", "transpose_conv")

    @settings(relaxed, max_examples=60 if kind in (*unlike_int8, "lookup") else 15)
    @given(single_op_graphs(kind), seeds)
    def check(graph: Graph, seed: int) -> None:
        graph = in_uint8(graph, seed)
        assume(is_valid(graph))
        assert_equal(graph, random_inputs(graph, 4, seed % 100))

    check()


@needs_runtime
@settings(relaxed, max_examples=60)
@given(chain_graphs(), seeds)
def test_chains_equal_tflite_runtime(graph: Graph, seed: int) -> None:
    graph = in_uint8(graph, seed)
    assume(is_valid(graph) and all(tensor.dtype != "int16" for tensor in graph.tensors))
    inputs = random_inputs(graph, 4, seed % 100)
    assert_equal(graph, inputs)
    samples = Samples(inputs, np.zeros(4, np.int64), reference.run(graph, inputs).reshape(4, -1))
    check = check_oracle(export_tflite(graph), samples)
    assert (
        any("no kernels for a model in uint8" in remark for remark in check.remarks)
        or len(check.oracles) == 1
    )


@needs_runtime
@settings(relaxed, max_examples=60)
@given(builders(), st.lists(st.tuples(gains, zero_points), min_size=1, max_size=3), seeds)
def test_a_concatenation_converts_scales_as_tflite_runtime_does(
    b: GraphBuilder, parts: list[tuple[float, int]], seed: int
) -> None:
    """The file is made of a graph that is not valid: its parts have other scales."""
    x = b.tensors[0]
    sources = tuple(b.requantize(0, x.scale * gain, zero_point) for gain, zero_point in parts)
    constant = b.constant(x.shape, x.scale * 3.7, 11)
    out = b.concatenate((0, *sources, constant))
    graph = replace(b.finish(out, "concatenation"), uint8=True)
    inputs = random_inputs(graph, 4, seed % 100)
    stored = export_tflite(graph)
    imported = import_tflite(stored, "concatenation")
    found = RUNTIME.interpret(stored, inputs)
    expected = reference.run(imported, inputs)
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)
    assert_equal(imported, inputs)


@settings(relaxed, max_examples=30)
@given(single_op_graphs("conv"), seeds)
def test_sums_are_those_of_integers_without_their_zero_points(graph: Graph, seed: int) -> None:
    graph = in_uint8(graph, seed, extremes=0.5)
    assume(is_valid(graph))
    (op,) = graph.ops
    assert isinstance(op, Conv2D)
    x, weights, bias = (graph.tensors[i] for i in (op.input, op.weights, op.bias))
    assert weights.data is not None
    assert bias.data is not None
    symmetric = replace(
        graph,
        uint8=False,
        tensors=tuple(
            replace(t, zero_point=0, data=np.zeros_like(weights.data)) if t is weights else t
            for t in graph.tensors
        ),
    )
    inputs = random_inputs(graph, 2, seed % 100)
    # Weights are linear: values of 9 bits as the sum of three parts that int8 holds.
    total = -2 * bias.data.astype(np.int64)
    centered = weights.data.astype(np.int64) - weights.zero_point
    for part in (centered // 3, centered // 3, centered - 2 * (centered // 3)):
        data = np.asarray(part, np.int8)
        tensors = tuple(
            replace(t, data=data) if t.name == weights.name else t for t in symmetric.tensors
        )
        total = total + accumulators(replace(symmetric, tensors=tensors), op, inputs)
    np.testing.assert_array_equal(accumulators(graph, op, inputs), total)
    assert x.dtype == "int8"


@settings(relaxed, max_examples=40)
@given(single_op_graphs() | chain_graphs(), seeds)
def test_bounds_hold_and_elimination_keeps_every_bit(graph: Graph, seed: int) -> None:
    graph = in_uint8(graph, seed)
    rng = np.random.default_rng(seed)
    for op in graph.ops:
        if isinstance(op, Conv2D):  # channels that are constant, and inputs that are not read
            weights = graph.tensors[op.weights]
            assert weights.data is not None
            weights.data[rng.random(len(weights.data)) < 0.4] = weights.zero_point
            weights.data[..., rng.random(weights.shape[3]) < 0.4] = weights.zero_point
    try:
        check_graph(graph)
    except HilError:
        assume(False)
    inputs = random_inputs(graph, 4, seed % 100)
    values, found = reference.trace(graph, inputs), bounds(graph)
    for index, value in values.items():
        assert (value >= found[index].lowest).all()
        assert (value <= found[index].highest).all()
    smaller = eliminate(graph)
    check_graph(smaller)
    assert smaller.uint8
    np.testing.assert_array_equal(reference.run(smaller, inputs), reference.run(graph, inputs))


def test_weights_that_fit_int8_get_no_zero_point() -> None:
    b = GraphBuilder(seed=1)
    x = b.input((5, 5, 3))
    graph = b.finish(b.conv(x, 4, per_channel=False), "narrow")
    (conv,) = graph.ops
    assert isinstance(conv, Conv2D)
    tensors = list(graph.tensors)
    weights = tensors[conv.weights]
    assert weights.data is not None
    narrow = (weights.data // 4).astype(np.int8)
    tensors[conv.weights] = replace(weights, data=narrow + np.int8(-90), zero_point=-90)
    uint8 = replace(graph, tensors=tuple(tensors), uint8=True)
    imported = import_tflite(export_tflite(uint8), "narrow")
    (conv,) = imported.ops
    assert isinstance(conv, Conv2D)
    found = imported.tensors[conv.weights]
    assert found.data is not None
    assert found.zero_point == 0
    np.testing.assert_array_equal(found.data, narrow)
    inputs = random_inputs(uint8, 2)
    np.testing.assert_array_equal(reference.run(imported, inputs), reference.run(uint8, inputs))


def test_an_operator_that_is_not_exact_on_uint8_is_refused_by_name() -> None:
    b = GraphBuilder(seed=1)
    graph = replace(b.finish(b.resize_bilinear(b.input((4, 4, 2)), (8, 8)), "up"), uint8=True)
    with pytest.raises(UnsupportedLayer, match=r"^resize\S*: RESIZE_BILINEAR has no exact"):
        import_tflite(export_tflite(graph), "up")


def test_a_custom_operator_of_a_uint8_model_is_named() -> None:
    b = GraphBuilder(seed=1)
    graph = replace(b.finish(b.max_pool(b.input((4, 4, 2)), (2, 2))), uint8=True)
    file = read(export_tflite(graph))
    last = FileOperator(BuiltinOperator.CUSTOM, file.outputs, (2,), custom="Boxes")
    boxes = replace(file.tensors[-1], name="boxes")
    edited = replace(
        file,
        tensors=(*file.tensors, boxes),
        operators=(*file.operators, last),
        outputs=(len(file.tensors),),
    )
    with pytest.raises(UnsupportedLayer, match="custom operator Boxes in a model on uint8"):
        import_tflite(write(edited), "boxes")


def test_a_conversion_from_uint8_at_the_edge_leaves_an_int8_model_as_it_is() -> None:
    b = GraphBuilder(seed=1)
    graph = b.finish(b.requantize(b.input((4, 4, 2)), 0.1, 3), "plain")
    assert not import_tflite(export_tflite(graph), "plain").uint8
