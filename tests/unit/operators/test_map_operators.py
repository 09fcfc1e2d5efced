"""Operators on maps: what their import refuses, and their values against independent ones."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compress.arithmetic.accumulate import accumulators
from compress.arithmetic.sigmoid import SIGMOID_TABLE
from compress.errors import UnsupportedLayer, UserError
from compress.integer import reference
from compress.integer.check import check_graph
from compress.integer.eliminate import eliminate
from compress.ops import Function, ReduceMax, TransposeConv2D
from compress.tflite.edges import int8_core
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.tflite.oracle import installed
from compress.tflite.read import read
from compress.tflite.write import write
from compress.tflite_records.file import BuiltinOperator, File, FileOperator, FileTensor, TensorType
from compress.tflite_records.tensor import raw_bytes
from compress.types import Graph
from helpers.graph_builder import GraphBuilder, random_inputs
from helpers.graph_variants import edited, nameless, with_operator, with_tensor
from helpers.map_strategies import append_map_op
from helpers.oracles import assert_oracles_compute, needs_oracle
from hil.board import load_board
from hil.kernels.choice import choose

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def int32(*values: int) -> np.ndarray:
    return raw_bytes(np.array(values, np.int32))


def resized() -> Graph:
    b = GraphBuilder()
    return b.finish(b.resize_nearest(b.input((4, 5, 2)), (8, 3)))


def transposed() -> Graph:
    b = GraphBuilder()
    return b.finish(b.transpose_conv(b.input((4, 5, 2)), 3, (8, 10)))


def reduced() -> Graph:
    b = GraphBuilder()
    return b.finish(b.sum(b.input((4, 5, 2)), (1, 3)))


@pytest.mark.parametrize(
    ("make", "edit", "message"),
    [
        (resized, with_tensor(2, data=int32(8, 4)), r"resized to \(8, 4\), but its output is"),
        (transposed, with_tensor(4, data=int32(1, 8, 9, 3)), "but its shape says"),
        (transposed, with_operator(0, inputs=(4, 1)), "it lacks an input"),
        (transposed, with_operator(0, options={"StrideW": 2, "StrideH": 2, "Padding": 7}), "7"),
        (reduced, with_tensor(2, data=int32(1, 4)), r"reduced over axes \[1, 4\] of 4"),
        (reduced, with_tensor(2, data=int32(1, 2)), "inconsistent"),
    ],
)
def test_inconsistent_files_are_refused(
    make: Callable[[], Graph], edit: Callable[[File], File], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        import_tflite(edited(make(), edit), "model")


def test_a_resize_at_which_tflite_reads_beyond_the_input_is_refused() -> None:
    b = GraphBuilder()
    graph = b.finish(b.resize_bilinear(b.input((1, 7, 1)), (1, 300)))
    with pytest.raises(UnsupportedLayer, match="resize_0: resized from 7 to 300"):
        check_graph(graph)


@pytest.mark.parametrize(
    ("function", "scale", "message"),
    [
        (Function.TANH, 2.7, "tanh_2: input scale"),
        (Function.LOGISTIC, 2.7, "logistic_2: input scale"),
        (Function.EXP, 0.1, "exp_2: there is no EXP on int16"),
    ],
)
def test_functions_that_are_not_on_int16_are_refused(
    function: Function, scale: float, message: str
) -> None:
    b = GraphBuilder()
    x = b.requantize(b.widen(b.input((4,))), scale)
    graph = b.finish(b.lookup(x, function))
    with pytest.raises(UnsupportedLayer, match=message):
        check_graph(graph)


def test_tables_that_leave_int32_are_refused() -> None:
    b = GraphBuilder()
    out = b.lookup(b.input((4,), 0.3, -128), Function.EXP)
    b.tensors[out] = replace(b.tensors[out], scales=(0.01,))
    with pytest.raises(UnsupportedLayer, match=r"exp_0: output scale 0.01 is too small"):
        check_graph(b.finish(out))


@pytest.mark.parametrize(
    ("zero_point", "scale", "message"),
    [
        (-127, 0.01, "rsqrt_0: RSQRT of an input with zero point -127, of which a part is neg"),
        (-128, 1e-9, "rsqrt_0: RSQRT from scale 0.3 to 1e-09 leaves int32"),
        (-128, 1e5, "rsqrt_0: RSQRT from scale 0.3 to 100000 leaves int32"),
    ],
)
def test_inverse_roots_that_tflite_cannot_compute_are_refused(
    zero_point: int, scale: float, message: str
) -> None:
    b = GraphBuilder()
    x = b.input((4,), 0.3, -128)
    out = b.lookup(x, Function.RSQRT)
    b.tensors[x] = replace(b.tensors[x], zero_point=zero_point)
    b.tensors[out] = replace(b.tensors[out], scales=(scale,))
    with pytest.raises(UnsupportedLayer, match=message):
        check_graph(b.finish(out))


def test_kernels_reduce_two_groups_of_axes_at_most() -> None:
    b = GraphBuilder()
    graph = b.finish(b.reduce_max(b.input((2, 3, 4, 5, 6)), (1, 3, 5)))
    check_graph(graph)
    with pytest.raises(UnsupportedLayer, match=r"extreme_0: axes .* more than 2 groups"):
        choose(graph, graph.ops[0], load_board("m4"))


def test_axes_may_be_given_from_the_end_and_twice() -> None:
    b = GraphBuilder()
    graph = b.finish(b.reduce_max(b.input((4, 5, 2)), (1, 3)))
    back = import_tflite(
        edited(graph, with_tensor(2, shape=(3,), data=int32(-1, 1, -3))), graph.name
    )
    assert isinstance(back.ops[0], ReduceMax)
    assert back.ops[0].axes == (1, 3)


def test_an_absent_bias_is_one_of_zeros() -> None:
    graph = transposed()
    op = graph.ops[0]
    assert isinstance(op, TransposeConv2D)
    file = read(export_tflite(graph))
    without = replace(file.operators[0], inputs=file.operators[0].inputs[:3])
    back = import_tflite(write(replace(file, operators=(without,))), "model")
    bias = graph.tensors[op.bias].data
    assert bias is not None
    bias[:] = 0
    inputs = random_inputs(graph, 3)
    np.testing.assert_array_equal(reference.run(back, inputs), reference.run(graph, inputs))


def classifier(type_: int) -> File:
    """A dense layer and the position of its largest output."""
    b = GraphBuilder()
    file = nameless(read(export_tflite(b.finish(b.fully_connected(b.input((6,)), 5)))))
    count = len(file.tensors)
    axis = FileTensor("axis", (), TensorType.INT32, data=int32(1))
    position = FileTensor("position", (1,), type_)
    last = FileOperator(BuiltinOperator.ARG_MAX, (*file.outputs, count), (count + 1,))
    tensors = (*file.tensors, axis, position)
    return File(file.name, tensors, (*file.operators, last), file.inputs, (count + 1,))


def test_the_position_of_the_largest_output_gives_way_to_the_outputs() -> None:
    for type_ in (TensorType.INT32, TensorType.INT64):
        file = classifier(type_)
        core = int8_core(file)
        assert [operator.code for operator in core.operators] == [BuiltinOperator.FULLY_CONNECTED]
        assert core.outputs == file.operators[0].outputs


@needs_oracle
@settings(relaxed, max_examples=40)
@given(
    st.sampled_from(["resize_nearest", "resize_bilinear"]),
    st.integers(1, 90),
    st.integers(1, 400),
    st.sampled_from([(False, False), (True, False), (False, True)]),
)
def test_long_rows_are_resized_as_by_the_oracles(
    kind: str, size: int, outputs: int, options: tuple[bool, bool]
) -> None:
    b = GraphBuilder(size)
    x = b.input((1, size, 1))
    graph = b.finish(getattr(b, kind)(x, (1, outputs), *options))
    try:
        check_graph(graph)
    except UnsupportedLayer:
        return  # TFLite reads beyond the input
    assert_oracles_compute(export_tflite(graph), graph, random_inputs(graph, 2))


@needs_oracle
@pytest.mark.parametrize("function", [Function.LOGISTIC, Function.TANH])
@pytest.mark.parametrize("scale", [2.0**-13, 2.0**-12, 2.0**-11, 2.0**-10, 1e-6, 1.3, 2.66])
@pytest.mark.parametrize("off", [0.0, 5e-4, -5e-4, 2e-3, -2e-3])
def test_scales_at_and_near_powers_of_two_are_taken_as_by_the_oracles(
    function: Function, scale: float, off: float
) -> None:
    b = GraphBuilder()
    x = b.fully_connected(b.widen(b.input((12,))), 400)
    x = b.requantize(x, scale * (1 + off))
    graph = b.finish(b.lookup(x, function))
    check_graph(graph)
    inputs = random_inputs(graph, 8)
    file = export_tflite(graph)
    for oracle in installed():
        expected = reference.run(oracle.as_computed(graph), inputs)
        np.testing.assert_array_equal(oracle.interpret(file, inputs), expected, oracle.package)


def transposed_sums(graph: Graph, op: TransposeConv2D, x: np.ndarray) -> np.ndarray:
    """Sums of one sample by loops over Python integers, from the input to the output."""
    weights, bias = graph.tensors[op.weights].data, graph.tensors[op.bias].data
    assert weights is not None
    assert bias is not None
    _, height, width, channels = graph.tensors[op.output].shape
    sums = np.zeros((height, width, channels), object) + bias.astype(object)
    zero = graph.tensors[op.input].zero_point
    rows, columns, _ = x.shape
    taps = itertools.product(range(weights.shape[1]), range(weights.shape[2]))
    for (m, n), i, j in itertools.product(list(taps), range(rows), range(columns)):
        y, z = i * op.stride[0] + m - op.crop[0], j * op.stride[1] + n - op.crop[1]
        if 0 <= y < height and 0 <= z < width:
            products = weights[:, m, n].astype(object) * (x[i, j].astype(object) - zero)
            sums[y, z] += products.sum(axis=1)
    return sums


@settings(relaxed, max_examples=25)
@given(st.data())
def test_sums_of_transposed_convolutions_equal_python_integers(data: st.DataObject) -> None:
    b = GraphBuilder(data.draw(st.integers(0, 99)))
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3)))
    graph = b.finish(append_map_op(data.draw, b, b.input(shape), "transpose_conv"))
    op = graph.ops[0]
    assert isinstance(op, TransposeConv2D)
    inputs = random_inputs(graph, 2)
    for sample, found in zip(inputs, accumulators(graph, op, inputs), strict=True):
        assert found.tolist() == transposed_sums(graph, op, sample).tolist()


def test_dead_channels_of_a_transposed_convolution_go() -> None:
    b = GraphBuilder()
    x = b.transpose_conv(b.input((3, 4, 2)), 6, (6, 8))
    graph = b.finish(b.conv(x, 3, (1, 1)))
    op = graph.ops[0]
    assert isinstance(op, TransposeConv2D)
    weights = graph.tensors[op.weights].data
    assert weights is not None
    weights[[1, 4]] = 0
    smaller = eliminate(graph)
    check_graph(smaller)
    assert smaller.tensors[smaller.ops[0].output].shape == (1, 6, 8, 4)
    inputs = random_inputs(graph, 3)
    np.testing.assert_array_equal(reference.run(smaller, inputs), reference.run(graph, inputs))


def test_the_table_of_sigmoid_is_sigmoid() -> None:
    real = [65536 / (1 + math.exp(-i / 24)) for i in range(256)]
    assert max(abs(a - b) for a, b in zip(SIGMOID_TABLE, real, strict=True)) < 1.5
