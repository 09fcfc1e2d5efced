"""Dense layers on a sequence: on three dimensions, and by way of RESHAPE to (rows, K)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compress.errors import UnsupportedLayer
from compress.integer import reference
from compress.ops import FullyConnected, Function, Lookup, Reshape
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.tflite.oracle import installed
from compress.tflite.read import read
from compress.tflite.write import write
from compress.tflite_records.file import (
    BuiltinOperator,
    File,
    FileOperator,
    FileTensor,
    TensorType,
)
from compress.types import Graph, Samples
from helpers.graph_builder import GraphBuilder, random_inputs
from helpers.graph_variants import nameless, with_operator
from helpers.oracles import assert_oracles_compute, needs_oracle
from hil.benchmark.samples import random_samples
from hil.measure.oracle_check import check_oracle


def on_a_sequence() -> Graph:
    """Four rows of six values, a dense layer on each, then one on all."""
    b = GraphBuilder()
    x = b.fully_connected(b.reshape(b.input((24,)), (4, 6)), 5, by_row=True)
    x = b.lookup(x, Function.LEAKY_RELU, alpha=0.2)
    return b.finish(b.fully_connected(b.reshape(x, (20,)), 3))


def by_reshape(file: File) -> File:
    """The file with (4, K) where it has (1, 4, K)."""
    tensors = []
    for tensor in file.tensors:
        if tensor.shape[:2] == (1, 4):
            tensor = replace(tensor, shape=tensor.shape[1:])
        elif (
            tensor.data is not None
            and tensor.data.tobytes() == np.array([1, 4, 6]).astype("<i4").tobytes()
        ):
            stated = np.frombuffer(np.array([4, 6], "<i4").tobytes(), np.uint8)
            tensor = replace(tensor, shape=(2,), data=stated)
        tensors.append(tensor)
    file = replace(nameless(file), tensors=tuple(tensors))
    options = dict(file.operators[1].options) | {"KeepNumDims": False}
    return with_operator(1, options=options)(file)


@needs_oracle
def test_rows_are_no_batch() -> None:
    graph = on_a_sequence()
    data = write(by_reshape(read(export_tflite(graph))))
    assert [len(tensor.shape) for tensor in read(data).tensors].count(2) >= 5
    found = import_tflite(data, "model")
    assert [type(op) for op in found.ops] == [
        Reshape,
        FullyConnected,
        Lookup,
        Reshape,
        FullyConnected,
    ]
    inputs = random_inputs(graph, 3)
    outputs = reference.run(graph, inputs)
    np.testing.assert_array_equal(reference.run(found, inputs), outputs)
    assert_oracles_compute(data, found, inputs)
    assert check_oracle(data, Samples(inputs, np.zeros(3, np.int64), outputs)).oracles


@needs_oracle
def test_a_dense_layer_keeps_dimensions() -> None:
    graph = on_a_sequence()
    inputs = random_inputs(graph, 3)
    assert_oracles_compute(export_tflite(graph), graph, inputs)


def test_rows_stay_a_batch_where_an_operator_may_mix_them() -> None:
    file = by_reshape(read(export_tflite(on_a_sequence())))
    options = {"Axis": 0, "FusedActivationFunction": 0}
    mixed = with_operator(2, code=BuiltinOperator.CONCATENATION, options=options)(file)
    with pytest.raises(UnsupportedLayer, match="batch 4, must be 1"):
        import_tflite(write(mixed), "model")


def binary(code: int, left: tuple[int, ...], right: tuple[int, ...]) -> bytes:
    """An operator on two inputs of any shapes, then RESHAPE to a vector."""
    shape = np.broadcast_shapes(left, right)
    size = int(np.prod(shape))
    scale = 0.05
    tensors = [
        FileTensor(f"tensor_{number}", shape, TensorType.INT8, (scale,), (number,))
        for number, shape in enumerate((left, right, shape))
    ]
    tensors.append(replace(tensors[-1], name="vector", shape=(size,)))
    stated = np.frombuffer(np.array([size], "<i4").tobytes(), np.uint8)
    tensors.append(FileTensor("shape", (1,), TensorType.INT32, data=stated))
    operators = (
        FileOperator(code, (0, 1), (2,), {"FusedActivationFunction": 0}),
        FileOperator(BuiltinOperator.RESHAPE, (2, 4), (3,)),
    )
    return write(File("binary", tuple(tensors), operators, (0, 1), (3,)))


@needs_oracle
@pytest.mark.parametrize("code", [BuiltinOperator.SUB, BuiltinOperator.ADD, BuiltinOperator.MUL])
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((1, 2, 3, 4), (4,)),
        ((5,), (5,)),
        ((5,), ()),
        ((1, 3, 4), (3, 4)),
        ((2, 3), (3,)),
    ],
)
def test_vectors_scalars_and_maps_without_a_batch(
    code: int, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    data = binary(code, left, right)
    graph = import_tflite(data, "model")
    assert all(tensor.shape[0] == 1 for tensor in graph.tensors if tensor.data is None)
    assert len(check_oracle(data, random_samples(graph, 3)).oracles) == len(installed())


def test_inputs_and_outputs_of_as_many_rows_are_a_batch() -> None:
    file = read(binary(BuiltinOperator.ADD, (2, 3), (2, 3)))
    data = write(replace(file, outputs=file.operators[0].outputs))
    with pytest.raises(UnsupportedLayer, match="batch 2, must be 1"):
        import_tflite(data, "model")


@needs_oracle
def test_elements_along_the_first_axis_are_vectors() -> None:
    """UNPACK of (1, 6) is a vector, which needs no batch to be added to another one."""
    file = read(binary(BuiltinOperator.ADD, (6,), (6,)))
    first = len(file.tensors)
    row = replace(file.tensors[0], name="row", shape=(1, 6))
    unpack = FileOperator(BuiltinOperator.UNPACK, (first,), (0,), {"Num": 1, "Axis": 0})
    data = write(
        replace(
            file,
            tensors=(*file.tensors, row),
            operators=(unpack, *file.operators),
            inputs=(first, 1),
        )
    )
    graph = import_tflite(data, "model")
    assert check_oracle(data, random_samples(graph, 3)).oracles
