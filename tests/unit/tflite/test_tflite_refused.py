"""Refusals of the .tflite import: operators without integer kernels, and damage."""

import struct
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import tflite

from compress.errors import UnsupportedLayer, UserError
from compress.operator_interface.operator import Builtin
from compress.operators.registry import BUILTINS
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.tflite.read import read
from compress.tflite.write import write
from compress.tflite_records.file import (
    BuiltinOperator,
    File,
    TensorType,
)
from compress.types import Graph
from helpers.graph_builder import GraphBuilder, random_inputs
from helpers.graph_examples import residual
from helpers.graph_variants import edited, with_edges, with_operator, with_tensor
from helpers.oracles import assert_oracles_compute, needs_oracle


def on_int16() -> Graph:
    """Operators of the file: DEQUANTIZE, QUANTIZE, CONV_2D, ADD, QUANTIZE."""
    b = GraphBuilder()
    x = b.widen(b.input((4, 4, 2)))
    return b.finish(b.narrow(b.add(x, b.conv(x, 2, (1, 1)))))


OPERATORS_SLOT = 10  # of SubGraph.operators: the fourth field, two bytes each after 4

BIAS = 3  # its tensor in `on_int16`


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            with_tensor(BIAS, type=TensorType.INT32, data=np.zeros(8, np.uint8)),
            "conv_1: bias of int32 on int16",
        ),
        (
            with_tensor(BIAS, data=np.full(16, 64, np.uint8)),
            "bias_1 has values beyond int32",
        ),
        (with_operator(0, code=BuiltinOperator.TANH), "tanh_0: .* is float32"),
    ],
)
def test_what_is_unsupported_on_int16_is_named(edit: Callable[[File], File], message: str) -> None:
    with pytest.raises(UnsupportedLayer, match=message):
        import_tflite(edited(on_int16(), edit), "model")


POWERS = {"FusedActivationFunction": 0, "PotScaleInt16": True}


def test_a_sum_on_int16_by_powers_of_two_is_named() -> None:
    file = with_operator(3, options=POWERS)(read(export_tflite(on_int16())))
    add = file.operators[3]
    for index in (*add.inputs, *add.outputs):
        file = with_tensor(index, scales=(2.0**-12,))(file)
    message = "add_2: int16 arithmetic for scales of powers of two"
    with pytest.raises(UnsupportedLayer, match=message):
        import_tflite(write(file), "model")


@needs_oracle
@pytest.mark.parametrize("subtract", [False, True])
def test_a_sum_on_int16_by_other_scales_is_the_general_one(subtract: bool) -> None:
    """Whatever its option says: TFLite looks at the scales, too."""
    b = GraphBuilder()
    x = b.widen(b.input((4, 4, 2)))
    graph = b.finish(b.narrow(b.add(x, b.conv(x, 2, (1, 1)), subtract=subtract)))
    data = edited(graph, with_operator(3, options=POWERS))
    assert_oracles_compute(data, import_tflite(data, "model"), random_inputs(graph, 8))


def test_an_int64_bias_is_for_int16_only() -> None:
    graph = residual()
    bias = graph.ops[0].bias
    wide = np.frombuffer(graph.tensors[bias].data.astype("<i8").tobytes(), np.uint8)
    data = edited(graph, with_tensor(bias, type=TensorType.INT64, data=wide))
    with pytest.raises(UnsupportedLayer, match="conv_0: bias of int64 on int8"):
        import_tflite(data, "model")


def test_half_an_int64_is_the_users() -> None:
    with pytest.raises(UserError, match="bias_1: no whole int64 values"):
        import_tflite(edited(on_int16(), with_tensor(BIAS, data=np.zeros(9, np.uint8))), "model")


@pytest.mark.parametrize("scale", [0.7, 0.0])
def test_a_conversion_to_another_scale_is_no_edge(scale: float) -> None:
    data = with_edges(residual(), TensorType.UINT8)
    file = read(data)
    other = with_tensor(file.inputs[0], scales=(scale,))(file)
    with pytest.raises(UnsupportedLayer, match="quantize_0: input_uint8 is uint8"):
        import_tflite(write(other), "model")


def test_a_conversion_inside_of_the_model_is_unsupported() -> None:
    def read_twice(file: File) -> File:
        first, shortcut = file.operators[0], 5
        again = replace(first, outputs=file.operators[shortcut].outputs)
        others = file.operators[:shortcut], file.operators[shortcut + 1 :]
        return replace(file, operators=(*others[0], again, *others[1]))

    data = write(read_twice(read(with_edges(residual(), TensorType.FLOAT32))))
    with pytest.raises(UnsupportedLayer, match="quantize_0: input_float is float32"):
        import_tflite(data, "model")


def test_an_operator_outside_of_the_union_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILTINS, BuiltinOperator.GATHER, Builtin(BuiltinOperator.GATHER, 1, None))
    data = edited(residual(), with_operator(9, code=BuiltinOperator.GATHER, options={}))
    message = r"there is no integer kernel for GATHER \(softmax_8, output softmax_8\)"
    with pytest.raises(UnsupportedLayer, match=message):
        import_tflite(data, "model")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (with_tensor(0, type=TensorType.FLOAT32), "conv_0: input is float32"),
        (with_tensor(0, shape=(2, 8, 8, 3)), "batch 2"),
        (with_tensor(1, zero_points=(0, 1, 0, 0, 0, 0, 0, 0)), "several zero points"),
        (with_tensor(1, zero_points=(3,) * 8), "conv_0: weights must be symmetric"),
        (with_tensor(1, axis=3), "conv_0: weights have 8 scales"),
        (with_tensor(1, type=TensorType.INT16, shape=(4, 3, 3, 3)), "conv_0: weights_0 is int16"),
        (with_operator(9, options={"Beta": 2.0}), "softmax_8: beta 2.0"),
        (with_operator(5, options={"FusedActivationFunction": 4}), "add_4: fused activation 4"),
        (with_operator(5, inputs=(0, 0)), "add_4: Add of"),
    ],
)
def test_what_is_unsupported_is_named(edit: Callable[[File], File], message: str) -> None:
    with pytest.raises(UnsupportedLayer, match=message):
        import_tflite(edited(residual(), edit), "model")


def joined() -> Graph:
    """Operator 0 is a MEAN, 1 a CONCATENATION, 2 a SUB of a constant."""
    b = GraphBuilder()
    x = b.input((4, 5, 6))
    y = b.mean(x, (1,), keep=True, zero_point=-3)
    y = b.add(b.concatenate((x, y), axis=1), b.constant((6,)), subtract=True)
    return b.finish(y)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (with_tensor(1, scales=(0.7,)), "concatenate_1: output must keep the input's scale"),
        (
            with_operator(1, options={"FusedActivationFunction": 1}),
            "concatenate_1: a concatenation with a fused",
        ),
        (
            with_operator(1, inputs=(3, 3), options={"Axis": 1}),
            "concatenate_1: concatenation of constants only",
        ),
        (with_operator(2, inputs=(3, 3)), "add_2: constant_2_\\d is a constant"),
        (
            with_tensor(3, type=TensorType.INT32, shape=(3, 1, 2), data=np.zeros(24, np.uint8)),
            "add_2",
        ),
    ],
)
def test_what_the_operators_without_weights_do_not_support_is_named(
    edit: Callable[[File], File], message: str
) -> None:
    with pytest.raises(UnsupportedLayer, match=message):
        import_tflite(edited(joined(), edit), "model")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (with_operator(0, inputs=(0, 99, 2)), "no tensor 99"),
        (with_operator(0, inputs=(0, -1, 2)), "conv_0: damaged"),
        (with_operator(5, inputs=(0,)), "add_4: 1 inputs"),
        (with_operator(0, outputs=()), "conv_0: damaged"),
        (with_tensor(1, shape=(8, 3, 3, 4)), "bytes of data for shape"),
        (with_tensor(1, type=TensorType.INT4), "216 bytes of data for shape"),
        (with_tensor(0, shape=(1, 8, 9, 3)), "conv_0: inconsistent graph"),
        (with_tensor(0, shape=(1, 8, -8, 3)), "an extent below 0"),
        (with_tensor(3, shape=(1, 8, -8, 8)), "an extent below 0"),
        (with_tensor(0, shape=(1, 8, 2**31 - 1, 3)), "more values than a Cortex-M"),
        (with_tensor(3, shape=(1, 8, 2**31 - 1, 8)), "more values than a Cortex-M"),
        (with_tensor(0, scales=(float("nan"),)), "inconsistent graph"),
        (with_tensor(0, zero_points=(400,)), "zero point 400"),
        (lambda file: replace(file, outputs=(77,)), "no tensor 77"),
        (lambda file: replace(file, operators=file.operators[::-1]), "before it is computed"),
        (lambda file: replace(file, operators=file.operators[:-1]), "never computed"),
    ],
)
def test_an_inconsistent_file_is_the_users(edit: Callable[[File], File], message: str) -> None:
    with pytest.raises(UserError, match=message):
        import_tflite(edited(residual(), edit), "model")


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\0" * 64, b"\x1c\0\0\0TFL3" + b"\xff" * 64])
def test_what_is_no_tflite_file_is_the_users(data: bytes) -> None:
    with pytest.raises(UserError, match=r"tflite|empty"):
        import_tflite(data, "model")


def test_a_count_of_operators_beyond_the_file_takes_no_memory() -> None:
    data = bytearray(export_tflite(residual()))
    table = tflite.Model.GetRootAs(data).Subgraphs(0)._tab
    operators = table.Vector(table.Offset(OPERATORS_SLOT))
    count, largest = data[operators - 4 : operators], struct.pack("<I", 100_000_000)
    assert struct.unpack("<I", count)[0] == len(read(bytes(data)).operators)
    data[operators - 4 : operators] = largest
    tracemalloc.start()
    with pytest.raises(UserError, match="a table of 100000000 entries, at most 4096"):
        read(bytes(data))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 10_000_000


def test_a_truncated_file_is_the_users() -> None:
    data = export_tflite(residual())
    for length in range(0, len(data) // 2, 97):
        with pytest.raises(UserError):
            import_tflite(data[:length], "model")


def test_a_window_larger_than_any_design_is_refused() -> None:
    b = GraphBuilder()
    graph = b.finish(b.max_pool(b.input((8, 8, 2)), (2, 2)))
    options = dict(read(export_tflite(graph)).operators[0].options)
    for change in ({"FilterHeight": 2**30}, {"StrideW": 0}, {"Padding": 9}):
        edit = with_operator(0, options=options | change)
        with pytest.raises(UserError, match="max_pool_0"):
            import_tflite(edited(graph, edit), "model")


def test_a_product_of_two_types_is_refused() -> None:
    """Of int16 and int8, as some converters write them; no kernel of TFLite takes it."""
    b = GraphBuilder()
    graph = b.finish(b.matmul(b.input((3, 4)), b.input((4, 5))))
    data = edited(graph, with_tensor(0, type=TensorType.INT16, zero_points=(0,)))
    with pytest.raises(UnsupportedLayer, match="a product of int16 and int8, for which TFLite has"):
        import_tflite(data, "model")
