"""Export to and import from .tflite: round trips and real models."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from compress.arithmetic.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from compress.errors import UnsupportedLayer, UserError
from compress.integer import reference
from compress.integer.check import check_graph
from compress.integer.cost import cost
from compress.ops import Padding
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.tflite.oracle import MICRO, installed
from compress.tflite.read import read
from compress.tflite.write import write
from compress.tflite_records.file import (
    KIND_NAMES,
    BuiltinOperator,
    File,
    FileOperator,
    FileTensor,
    TensorType,
)
from compress.types import DType, Graph
from helpers.checkout import MLPERF_TINY
from helpers.graph_builder import GraphBuilder, random_inputs, same_padding
from helpers.graph_examples import EXAMPLES, ds_cnn, residual
from helpers.graph_strategies import graphs
from helpers.graph_variants import edited, nameless, with_edges, with_operator
from helpers.oracles import assert_oracles_compute, needs_oracle

MODELS = MLPERF_TINY
# MACs and peak of live int8 tensors, as counted by hand from the published architectures.
MLPERF = {
    "kws_ref_model": (2_656_768, 16_000),
    "vww_96_int8": (7_489_664, 55_296),
    "pretrainedResnet_quant": (12_501_632, 49_152),
    "ad01_int8": (264_192, 768),
}


def codes(data: bytes) -> list[int]:
    return [operator.code for operator in read(data).operators]


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(graphs())
def test_import_undoes_export(graph: Graph) -> None:
    data = export_tflite(graph)
    back = import_tflite(data, graph.name)
    assert export_tflite(back) == data
    assert back.ops == graph.ops
    inputs = random_inputs(graph, 2)
    np.testing.assert_array_equal(reference.run(back, inputs), reference.run(graph, inputs))


def test_a_single_channel_round_trips() -> None:
    b = GraphBuilder()
    graph = b.finish(b.depthwise(b.input((4, 4, 1))))
    data = export_tflite(graph)
    assert export_tflite(import_tflite(data, graph.name)) == data


@pytest.mark.parametrize("example", [*EXAMPLES, ds_cnn])
def test_export_is_deterministic(example: Callable[[], Graph]) -> None:
    assert export_tflite(example()) == export_tflite(example())


def test_tensors_nothing_refers_to_are_dropped() -> None:
    b = GraphBuilder()
    x = b.input((4, 4, 2))
    b.tensors.append(replace(b.tensors[x], name="left over"))
    data = export_tflite(b.finish(b.conv(x, 3)))
    assert "left over" not in [tensor.name for tensor in read(data).tensors]


def test_padding_is_written_as_same_where_it_is() -> None:
    b = GraphBuilder()
    x = b.input((49, 10, 1))
    (top, bottom), (left, right) = same_padding(49, 10, 2), same_padding(10, 4, 2)
    padding = Padding(top, bottom, left, right)
    data = export_tflite(b.finish(b.conv(x, 3, (10, 4), (2, 2), padding=padding)))
    assert codes(data) == [BuiltinOperator.CONV_2D]
    assert import_tflite(data, "back").ops[0].padding == padding


@pytest.mark.parametrize("kind", ["conv", "depthwise", "max_pool"])
def test_other_padding_is_an_operator_of_its_own(kind: str) -> None:
    b = GraphBuilder()
    x = b.input((8, 8, 2))
    padding = Padding(1, 1, 1, 1)  # with stride 2 on an even extent, SAME is (0, 1)
    if kind == "max_pool":
        out, pad = b.max_pool(x, (3, 3), (2, 2), padding), BuiltinOperator.PADV2
    else:
        make = b.conv if kind == "conv" else b.depthwise
        out, pad = make(x, 2, stride=(2, 2), padding=padding), BuiltinOperator.PAD
    data = export_tflite(b.finish(out))
    assert codes(data)[0] == pad
    (op,) = import_tflite(data, "back").ops
    assert op.padding == padding


def test_an_average_pool_with_other_padding_has_no_tflite_form() -> None:
    b = GraphBuilder()
    x = b.average_pool(b.input((8, 8, 2)), (3, 3), (2, 2), Padding(1, 1, 1, 1))
    with pytest.raises(UnsupportedLayer, match="average_pool_0"):
        export_tflite(b.finish(x))


def test_int4_weights_are_packed_low_nibble_first() -> None:
    b = GraphBuilder()
    graph = b.finish(b.fully_connected(b.input((5,)), 3, weight_bits=4))
    weights = graph.tensors[graph.ops[0].weights].data
    weights.reshape(-1)[:] = [-8, 7, 0, -1, 1, 2, 3, 4, 5, 6, -7, -6, -5, -4, -3]
    stored = read(export_tflite(graph)).tensors[graph.ops[0].weights]
    assert stored.type == TensorType.INT4
    assert stored.data.tobytes().hex() == "78f0214365a9cb0d"
    back = import_tflite(export_tflite(graph), "back")
    tensor = back.tensors[back.ops[0].weights]
    assert (tensor.dtype, tensor.size_bytes) == ("int4", 8)
    np.testing.assert_array_equal(tensor.data, weights)


def test_int4_weights_without_a_kernel_are_stored_as_int8() -> None:
    b = GraphBuilder()
    graph = b.finish(b.fully_connected(b.input((5,)), 3, weight_bits=4, per_channel=True))
    back = import_tflite(export_tflite(graph), "back")
    weights = back.tensors[back.ops[0].weights]
    assert weights.dtype == "int8"
    np.testing.assert_array_equal(weights.data, graph.tensors[graph.ops[0].weights].data)


def test_int4_weights_beyond_four_bits_are_refused() -> None:
    b = GraphBuilder()
    graph = b.finish(b.conv(b.input((4, 4, 2)), 3, weight_bits=4))
    for value in (8, -9):
        graph.tensors[graph.ops[0].weights].data[0, 0, 0, 0] = value
        with pytest.raises(UserError, match="conv_0: inconsistent graph"):
            check_graph(graph)


def test_int16_is_written_as_release_2_14_reads_it() -> None:
    b = GraphBuilder()
    x = b.widen(b.input((4, 4, 2)))
    y = b.conv(x, 2, (1, 1), weight_bits=4)
    graph = b.finish(b.narrow(b.add(x, y)))
    file = read(export_tflite(graph))
    names = ["DEQUANTIZE", "QUANTIZE", "CONV_2D", "ADD", "QUANTIZE"]
    assert [KIND_NAMES[operator.code] for operator in file.operators] == names
    _, weights, bias = file.operators[2].inputs
    assert [file.tensors[i].type for i in (x, y, weights, bias)] == [
        TensorType.INT16,
        TensorType.INT16,
        TensorType.INT8,
        TensorType.INT64,
    ]
    assert file.operators[3].options["PotScaleInt16"] is False
    back = import_tflite(write(file), graph.name)
    assert back.ops == graph.ops
    activations = [t.dtype for t in back.tensors if t.data is None]
    assert activations == ["int8", "int16", "int16", "int16", "int8"]


def test_an_absent_bias_is_zero() -> None:
    b = GraphBuilder()
    graph = b.finish(b.conv(b.input((4, 4, 2)), 3))
    op = graph.ops[0]
    graph.tensors[op.bias].data[:] = 0
    data = edited(graph, with_operator(0, inputs=(op.input, op.weights)))
    inputs = random_inputs(graph, 3)
    expected = reference.run(graph, inputs)
    np.testing.assert_array_equal(reference.run(import_tflite(data, "back"), inputs), expected)


@pytest.mark.parametrize("model", MLPERF)
def test_mlperf_tiny_models(model: str) -> None:
    path = MODELS / f"{model}.tflite"
    if not path.exists():
        pytest.skip(f"needs the MLPerf Tiny models in {MODELS}")
    data = path.read_bytes()
    graph = import_tflite(data, model)
    costs = cost(graph)
    assert (costs.macs, costs.peak_activation_bytes) == MLPERF[model]
    again = export_tflite(graph)
    assert export_tflite(import_tflite(again, model)) == again
    inputs = random_inputs(graph, 10)
    for file in (data, again):
        assert_oracles_compute(file, graph, inputs)


@pytest.mark.parametrize("type_", [TensorType.FLOAT32, TensorType.UINT8])
def test_conversions_at_the_edges_are_dropped(type_: int) -> None:
    graph = residual()
    back = import_tflite(with_edges(graph, type_), "model")
    assert back.name == "model (int8 core)"
    assert len(back.ops) == len(graph.ops)
    inputs = random_inputs(graph, 3)
    np.testing.assert_array_equal(reference.run(back, inputs), reference.run(graph, inputs))


@needs_oracle
@pytest.mark.parametrize("type_", [TensorType.FLOAT32, TensorType.UINT8])
def test_the_int8_core_answers_as_the_whole_model(type_: int) -> None:
    graph = residual()
    inputs = random_inputs(graph, 3)
    file, judges = with_edges(graph, type_), installed()
    if type_ == TensorType.UINT8:  # tflite-micro has none at the output
        judges = tuple(oracle for oracle in judges if oracle is not MICRO)
    for oracle in judges:
        found = oracle.interpret(file, inputs)
        np.testing.assert_array_equal(found, reference.run(graph, inputs), oracle.name)


def with_int32_output(graph: Graph, scale: float, zero_point: int) -> bytes:
    """The exported file with its output quantized to int32."""

    def widened(file: File) -> File:
        count, inner = len(file.tensors), file.tensors[file.outputs[0]]
        outer = FileTensor("wide", inner.shape, TensorType.INT32, (scale,), (zero_point,))
        last = FileOperator(BuiltinOperator.QUANTIZE, file.outputs, (count,))
        return replace(
            nameless(file),
            tensors=(*file.tensors, outer),
            operators=(*nameless(file).operators, last),
            outputs=(count,),
        )

    return edited(graph, widened)


@needs_oracle
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_an_int32_output_follows_from_the_core(dtype: DType) -> None:
    """The oracles' int32 is the core's output in the other scale: nothing of it is lost."""
    b = GraphBuilder()
    graph = b.finish(b.softmax(b.input((5,)), dtype))
    scale, zero_point = graph.output_tensor.scale * 1.7, 9
    data, inputs = with_int32_output(graph, scale, zero_point), random_inputs(graph, 50)
    assert import_tflite(data, "model").name == "model (int8 core)"
    assert_oracles_compute(data, graph, inputs)
    steps = reference.trace(graph, inputs)[graph.output].astype(np.int64)
    steps -= graph.output_tensor.zero_point
    factor = quantize_multiplier(graph.output_tensor.scale / float(np.float32(scale)))
    expected = multiply_by_quantized_multiplier(steps, *factor) + zero_point
    for oracle in installed():
        model = oracle.open(data)
        if dtype == "int8" and oracle is not MICRO:  # it has no such QUANTIZE and gets the core
            assert model.file.outputs == model.core.outputs
            continue
        found = model.trace(inputs, model.file.outputs)[model.file.outputs[0]]
        assert found.dtype == np.int32
        np.testing.assert_array_equal(found, expected, oracle.name)


def test_squeeze_and_expand_dims_are_reshapes() -> None:
    b = GraphBuilder()
    graph = b.finish(b.reshape(b.input((1, 1, 8)), (8,)))
    for code in (BuiltinOperator.SQUEEZE, BuiltinOperator.EXPAND_DIMS):
        assert import_tflite(edited(graph, with_operator(0, code=code)), "back").ops == graph.ops


def test_the_operand_that_repeats_may_come_first() -> None:
    b = GraphBuilder()
    x = b.input((4, 5, 6))
    y = b.mul(x, b.constant((6,)))
    graph = b.finish(b.add(y, b.mean(x)))

    def swapped(file: File) -> File:
        file = with_operator(0, inputs=file.operators[0].inputs[::-1])(file)
        return with_operator(2, inputs=file.operators[2].inputs[::-1])(file)

    back = import_tflite(edited(graph, swapped), graph.name)
    inputs = random_inputs(graph, 3)
    np.testing.assert_array_equal(reference.run(back, inputs), reference.run(graph, inputs))
    assert export_tflite(back) == export_tflite(graph)


@pytest.mark.parametrize("reader", ["requantize", "average_pool", "max_pool"])
def test_a_pad_that_cannot_be_fused_is_an_operator(reader: str) -> None:
    b = GraphBuilder()
    x = b.pad(b.input((8, 8, 2)), (0, 1, 2, 0), (0, 1, 1, 0))
    y = b.requantize(x) if reader == "requantize" else getattr(b, reader)(x, (2, 2))
    graph = b.finish(y)
    back = import_tflite(edited(graph, nameless), "back")
    assert [type(op) for op in back.ops] == [type(op) for op in graph.ops]
    inputs = random_inputs(graph, 3)
    np.testing.assert_array_equal(reference.run(back, inputs), reference.run(graph, inputs))


def test_a_pad_with_two_readers_is_fused_into_the_one_that_can() -> None:
    b = GraphBuilder()
    x = b.pad(b.input((8, 8, 2)), (0, 1, 1, 0), (0, 1, 1, 0))
    y = b.max_pool(b.conv(x, 2), (8, 8))
    graph = b.finish(b.add(y, b.max_pool(x, (10, 10))))
    back = import_tflite(edited(graph, nameless), "back")
    assert [type(op).__name__ for op in back.ops] == [
        "Pad",
        "Conv2D",
        "MaxPool2D",
        "MaxPool2D",
        "Add",
    ]
    assert back.ops[1].padding == Padding(1, 1, 1, 1)
    inputs = random_inputs(graph, 3)
    np.testing.assert_array_equal(reference.run(back, inputs), reference.run(graph, inputs))


def test_records_survive_a_round_trip() -> None:
    file = read(export_tflite(residual()))
    again = read(write(file))
    assert (again.name, again.inputs, again.outputs) == (file.name, file.inputs, file.outputs)
    assert again.operators == file.operators
    assert all(isinstance(o, FileOperator) for o in again.operators)
    for a, b in zip(again.tensors, file.tensors, strict=True):
        assert (a.name, a.shape, a.type, a.scales, a.zero_points, a.axis) == (
            b.name,
            b.shape,
            b.type,
            b.scales,
            b.zero_points,
            b.axis,
        )
        np.testing.assert_array_equal(a.data, b.data)


def test_operators_of_other_files_are_named_by_kind_and_position() -> None:
    back = import_tflite(edited(residual(), nameless), "model")
    assert [op.name for op in back.ops] == [
        "conv_2d_0",
        "conv_2d_2",  # 1 is a PAD
        "conv_2d_3",
        "conv_2d_4",
        "add_5",
        "average_pool_2d_6",
        "reshape_7",
        "fully_connected_8",
        "softmax_9",
    ]


def test_a_name_that_would_break_a_line_is_not_kept() -> None:
    b = GraphBuilder()
    graph = b.finish(b.softmax(b.input((4,))))
    b.tensors[1] = replace(b.tensors[1], name="two\nlines")
    graph = b.finish(1)
    op = replace(graph.ops[0], name="two\nlines")
    back = import_tflite(export_tflite(replace(graph, ops=(op,))), "model")
    assert back.ops[0].name == "softmax_0"
    assert back.output_tensor.name == "two?lines"


@needs_oracle
def test_an_output_that_is_a_constant_is_left_out() -> None:
    b = GraphBuilder()
    x = b.input((4,))
    graph = b.finish(b.add(x, b.constant((4,))))
    (op,) = graph.ops
    data = edited(graph, lambda file: replace(file, outputs=(op.right, op.output)))
    back = import_tflite(data, "anchors")
    assert [tensor.name for tensor in back.output_tensors] == [graph.output_tensor.name]
    assert_oracles_compute(data, back, random_inputs(graph, 3))
