"""Constant folding of the import: each operator against tflite-runtime, then whole models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.integer import reference
from compress.ops import Conv2D, FullyConnected, Reshape
from compress.tflite.exporter import export_tflite
from compress.tflite.fold import simplified
from compress.tflite.fold_functions import FOLDED
from compress.tflite.importer import import_tflite
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
from compress.tflite_records.tensor import raw_bytes
from compress.types import Array, Samples
from helpers.graph_builder import GraphBuilder, random_inputs
from helpers.graph_variants import edited, nameless, with_tensor
from helpers.oracles import assert_oracles_compute, needs_oracle
from hil.benchmark.samples import random_samples
from hil.measure.oracle_check import check_oracle

_TYPES = {
    "int8": TensorType.INT8,
    "uint8": TensorType.UINT8,
    "int16": TensorType.INT16,
    "int32": TensorType.INT32,
    "int64": TensorType.INT64,
    "float16": TensorType.FLOAT16,
    "float32": TensorType.FLOAT32,
}
B = BuiltinOperator


def ints(*values: Any, dtype: str = "int32") -> Array:
    return np.array(values[0] if len(values) == 1 else values, dtype)


@dataclass(frozen=True)
class Case:
    """An operator on constants; `scale` and `zero_point` are those of every 8-bit operand.

    With a `source_scale`, inputs have that and the zero point 7.
    """

    code: int
    values: tuple[Array, ...]
    shape: tuple[int, ...]
    dtype: str = "int32"
    options: Mapping[str, Any] = field(default_factory=dict)
    scale: float = 0.0
    zero_point: int = 0
    source_scale: float = 0.0


GRID = np.arange(24, dtype=np.int32).reshape(2, 3, 4) * 7 - 50
MASKS = dict.fromkeys(("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask"), 0)
KEEP, DROP = {"KeepDims": True}, {"KeepDims": False}
NO_ACTIVATION = {"FusedActivationFunction": 0}
FLOATS = np.random.default_rng(0).normal(0, 3, (5, 7)).astype(np.float32)
BYTES = np.arange(256)
CASES = [
    Case(B.SHAPE, (GRID,), (3,), options={"OutType": TensorType.INT32}),
    Case(B.SHAPE, (GRID,), (3,), "int64", {"OutType": TensorType.INT64}),
    Case(B.RANK, (GRID,), ()),
    Case(
        B.STRIDED_SLICE,
        (ints([5, 6, 7]), ints([0]), ints([1]), ints([1])),
        (),
        options=MASKS | {"ShrinkAxisMask": 1},
    ),
    Case(
        B.STRIDED_SLICE,
        (ints([5, 6, 7]), ints([-1]), ints([0]), ints([1])),
        (),
        options=MASKS | {"ShrinkAxisMask": 1},
    ),
    Case(
        B.STRIDED_SLICE,
        (GRID, ints([0, 2, 1]), ints([2, -9, 4]), ints([1, -1, 2])),
        (2, 3, 2),
        options=MASKS,
    ),
    Case(
        B.STRIDED_SLICE,
        (GRID, ints([9, 1, 0]), ints([9, 9, 2]), ints([1, 1, 1])),
        (2, 2, 2),
        options=MASKS | {"BeginMask": 1, "EndMask": 1},
    ),
    Case(B.SLICE, (GRID, ints([1, 0, 2]), ints([-1, 2, 1])), (1, 2, 1)),
    Case(B.PACK, (ints(1), ints(24), ints(3)), (3,), options={"ValuesCount": 3, "Axis": 0}),
    Case(B.PACK, (GRID, GRID), (2, 3, 2, 4), options={"ValuesCount": 2, "Axis": 2}),
    Case(B.CONCATENATION, (GRID, GRID), (2, 6, 4), options=NO_ACTIVATION | {"Axis": 1}),
    Case(
        B.CONCATENATION,
        (GRID.astype(np.int8), GRID.astype(np.int8)),
        (2, 3, 8),
        "int8",
        NO_ACTIVATION | {"Axis": -1},
        0.25,
        3,
    ),
    Case(B.GATHER, (GRID, ints([2, 0])), (2, 2, 4), options={"Axis": 1, "BatchDims": 0}),
    Case(B.GATHER, (ints([5, 6, 7]), ints(1)), (), options={"Axis": 0, "BatchDims": 0}),
    Case(B.CAST, (GRID,), (2, 3, 4), "int64"),
    Case(B.CAST, (GRID,), (2, 3, 4), "float32"),
    Case(B.CAST, (GRID.astype(np.int64),), (2, 3, 4), "int32"),
    Case(B.CAST, (GRID.astype(np.float32),), (2, 3, 4), "int32"),
    Case(B.RESHAPE, (GRID, ints([4, -1])), (4, 6)),
    Case(B.EXPAND_DIMS, (GRID, ints(1)), (2, 1, 3, 4)),
    Case(B.SQUEEZE, (GRID[:1],), (3, 4)),
    Case(B.TRANSPOSE, (GRID, ints([2, 0, 1])), (4, 2, 3)),
    Case(B.TRANSPOSE, (GRID.astype(np.int8), ints([2, 0, 1])), (4, 2, 3), "int8", {}, 0.5, 1),
    Case(B.TILE, (GRID, ints([1, 2, 3])), (2, 6, 12)),
    Case(B.FILL, (ints([2, 3]), ints(7)), (2, 3)),
    Case(B.RANGE, (ints(1), ints(20), ints(3)), (7,)),
    Case(B.RANGE, (ints(5), ints(-5), ints(-4)), (3,)),
    Case(B.ADD, (GRID, GRID[:1, :, :1]), (2, 3, 4), options=NO_ACTIVATION),
    Case(B.SUB, (GRID, GRID[1]), (2, 3, 4), options=NO_ACTIVATION),
    Case(B.MUL, (GRID, ints(-3)), (2, 3, 4), options=NO_ACTIVATION),
    Case(B.FLOOR_DIV, (GRID, ints([3, -3, 5, -7])), (2, 3, 4)),
    Case(B.MAXIMUM, (GRID, ints(-3)), (2, 3, 4)),
    Case(B.MINIMUM, (GRID, ints(-3)), (2, 3, 4)),
    Case(B.REDUCE_PROD, (GRID, ints([1, -1])), (2,), options=DROP),
    Case(B.SUM, (GRID, ints([0])), (1, 3, 4), options=KEEP),
    Case(B.REDUCE_MAX, (GRID, ints([0, 2])), (3,), options=DROP),
    Case(B.REDUCE_MIN, (GRID, ints([0, 2])), (1, 3, 1), options=KEEP),
    Case(B.DEQUANTIZE, (GRID.astype(np.int8),), (2, 3, 4), "float32", {}, 0.0173, -5),
    Case(B.DEQUANTIZE, (FLOATS.astype(np.float16),), (5, 7), "float32"),
    Case(B.QUANTIZE, (FLOATS,), (5, 7), "int8", {}, 0.0173, -5),
    Case(B.QUANTIZE, (np.arange(-12, 13).astype(np.float32) / 4,), (25,), "int8", {}, 0.5, 1),
    *(
        Case(B.QUANTIZE, (BYTES.astype(of),), (256,), to, {}, 0.0173, -5, source_scale=scale)
        for of, to in (("int8", "int8"), ("int8", "uint8"), ("uint8", "int8"))
        for scale in (0.0079, 0.0173, 0.03)
    ),
]
# BROADCAST_TO is registered for version 2 only, which `write` does not state.


def stored(name: str, values: Array, case: Case) -> FileTensor:
    made = replace(shaped(name, values.shape, values.dtype.name, case), data=raw_bytes(values))
    if case.source_scale:
        return replace(made, scales=(float(np.float32(case.source_scale)),), zero_points=(7,))
    return made


def shaped(name: str, shape: tuple[int, ...], dtype: str, case: Case) -> FileTensor:
    quantized = case.scale > 0 and dtype in ("int8", "uint8")
    scales = (float(np.float32(case.scale)),) if quantized else ()
    zero_points = (case.zero_point,) if quantized else ()
    return FileTensor(name, shape, _TYPES[dtype], scales, zero_points)


def file_of(case: Case) -> File:
    """The operator alone; the last tensor is its output, the one before it an unused input."""
    constants = tuple(stored(f"c{i}", values, case) for i, values in enumerate(case.values))
    unused = FileTensor("x", (1, 4), TensorType.INT8, (1.0,), (0,))
    output = shaped("y", case.shape, case.dtype, case)
    inputs = tuple(range(len(constants)))
    operator = FileOperator(case.code, inputs, (len(constants) + 1,), case.options)
    tensors = (*constants, unused, output)
    return File("net", tensors, (operator,), (len(constants),), (len(constants),))


@pytest.mark.parametrize("case", CASES, ids=lambda c: KIND_NAMES[c.code].lower())
def test_a_folded_operator_equals_tflite_runtime(case: Case) -> None:
    runtime = pytest.importorskip("tflite_runtime.interpreter", reason="no tflite-runtime")
    if int(np.__version__.split(".")[0]) > 1:
        pytest.skip("tflite-runtime is built for NumPy 1")
    file = file_of(case)
    output = len(file.tensors) - 1
    kinds = runtime.OpResolverType.BUILTIN_REF
    model = runtime.Interpreter(
        model_content=write(replace(file, outputs=(output,))), experimental_op_resolver_type=kinds
    )
    model.allocate_tensors()
    model.invoke()
    expected = model.get_tensor(output)
    folded = simplified(read(write(file)))
    assert folded.operators == ()
    found = folded.tensors[output]
    assert found.data is not None
    assert found.shape == expected.shape
    values = np.frombuffer(found.data.tobytes(), expected.dtype).reshape(found.shape)
    np.testing.assert_array_equal(values, expected)


def test_every_folded_operator_has_a_case() -> None:
    assert {case.code for case in CASES} >= FOLDED.keys() - {B.BROADCAST_TO}


@pytest.mark.parametrize(
    "case",
    [
        Case(B.GATHER, (GRID, ints([3])), (2, 1, 4), options={"Axis": 1, "BatchDims": 0}),
        Case(B.RESHAPE, (GRID, ints([5, 5])), (5, 5)),
        Case(B.CAST, (FLOATS,), (5, 7), "int32"),
        Case(B.FLOOR_DIV, (GRID, ints(0)), (2, 3, 4)),
        Case(B.RANGE, (ints(1), ints(9), ints(0)), (0,)),
        Case(B.TILE, (GRID, ints([1, 2**30, 3])), (2, 3, 12)),
        Case(B.TRANSPOSE, (GRID, ints([0, 0, 1])), (2, 2, 3)),
        Case(
            B.STRIDED_SLICE,
            (ints([5, 6]), ints([2]), ints([3]), ints([1])),
            (),
            options=MASKS | {"ShrinkAxisMask": 1},
        ),
    ],
    ids=lambda c: KIND_NAMES[c.code].lower(),
)
def test_what_does_not_fit_stays(case: Case) -> None:
    file = file_of(case)
    kept = simplified(replace(file, outputs=(len(file.tensors) - 1,)))
    assert kept.operators == file.operators
    assert simplified(file).tensors[-1].data is None


def test_bits_are_not_moved_to_another_scale() -> None:
    case = Case(B.TRANSPOSE, (GRID.astype(np.int8), ints([2, 0, 1])), (4, 2, 3), "int8", {}, 0.5, 1)
    file = file_of(case)
    other = replace(file.tensors[-1], scales=(0.25,))
    assert simplified(replace(file, tensors=(*file.tensors[:-1], other))).tensors[-1].data is None


def with_dynamic_batch(file: File) -> File:
    """The file with the shape of each RESHAPE computed from the batch of its input."""
    tensors = list(file.tensors)
    operators: list[FileOperator] = []

    def add(name: str, shape: tuple[int, ...], values: Array | None = None) -> int:
        data = None if values is None else raw_bytes(values)
        tensors.append(FileTensor(name, shape, TensorType.INT32, data=data))
        return len(tensors) - 1

    zero, one = add("zero", (1,), ints([0])), add("one", (1,), ints([1]))
    for operator in file.operators:
        if operator.code == B.RESHAPE:
            source, output = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
            shape, batch = add("shape", (len(source.shape),)), add("batch", ())
            extents = [add(f"n{n}", (), ints(n)) for n in output.shape[1:]]
            packed = add("packed", (len(output.shape),))
            masks = MASKS | {"ShrinkAxisMask": 1}
            options = {"ValuesCount": len(output.shape), "Axis": 0}
            operators += [
                FileOperator(B.SHAPE, operator.inputs[:1], (shape,), {"OutType": TensorType.INT32}),
                FileOperator(B.STRIDED_SLICE, (shape, zero, one, one), (batch,), masks),
                FileOperator(B.PACK, (batch, *extents), (packed,), options),
            ]
            operator = replace(operator, inputs=(operator.inputs[0], packed))
        operators.append(operator)
    return replace(file, tensors=tuple(tensors), operators=tuple(operators))


@needs_oracle
def test_a_dynamic_batch_is_one() -> None:
    """As Keras writes it: SHAPE, STRIDED_SLICE, PACK and RESHAPE."""
    b = GraphBuilder()
    x = b.reshape(b.input((72,)), (1, 24, 3))
    x = b.conv(x, 8, (1, 3))
    graph = b.finish(b.fully_connected(b.reshape(x, (176,)), 4))
    data = write(with_dynamic_batch(nameless(read(export_tflite(graph)))))
    found = import_tflite(data, "model")
    assert [type(op) for op in found.ops] == [Reshape, Conv2D, Reshape, FullyConnected]
    inputs = random_inputs(graph, 3)
    outputs = reference.run(graph, inputs)
    np.testing.assert_array_equal(reference.run(found, inputs), outputs)
    assert_oracles_compute(data, found, inputs)
    assert check_oracle(data, Samples(inputs, np.zeros(3, np.int64), outputs)).oracles


@needs_oracle
def test_an_extent_that_the_file_does_not_know_is_computed() -> None:
    """It states (1, 1) for a RESHAPE to (batch, -1), as converters do for a dynamic shape."""
    b = GraphBuilder()
    x = b.reshape(b.conv(b.input((4, 6, 2)), 3, (1, 3)), (48,))
    graph = b.finish(b.fully_connected(x, 4))
    file = with_dynamic_batch(nameless(read(export_tflite(graph))))
    tensors = list(file.tensors)
    (extent,) = [index for index, tensor in enumerate(tensors) if tensor.name == "n48"]
    (reshape,) = [operator for operator in file.operators if operator.code == B.RESHAPE]
    tensors[extent] = replace(tensors[extent], data=raw_bytes(ints(-1)))
    output = reshape.outputs[0]
    tensors[output] = replace(tensors[output], shape=(1, 1))
    data = write(replace(file, tensors=tuple(tensors)))
    found = import_tflite(data, "model")
    assert [tensor.shape for tensor in found.output_tensors] == [(1, 4)]
    samples = random_samples(found, 3)
    np.testing.assert_array_equal(samples.outputs, reference.run(graph, samples.inputs))
    assert check_oracle(data, samples).oracles


def test_what_nothing_reads_is_left_out() -> None:
    b = GraphBuilder()
    x = b.conv(b.input((6, 6, 3)), 4)
    b.fully_connected(b.requantize(x), 9)
    graph = b.finish(b.fully_connected(x, 5))
    found = import_tflite(export_tflite(graph), "model")
    assert [type(op) for op in found.ops] == [Conv2D, FullyConnected]
    inputs = random_inputs(graph, 2)
    np.testing.assert_array_equal(reference.run(found, inputs), reference.run(graph, inputs))


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=3),
    st.lists(st.tuples(*[st.integers(-8, 8)] * 3), min_size=3, max_size=3),
    st.integers(0, 7),
    st.integers(0, 7),
)
def test_slices_equal_those_of_tflite_runtime(
    shape: list[int], bounds: list[tuple[int, int, int]], begin_mask: int, end_mask: int
) -> None:
    values = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    parts = [(begin, end, step or 1) for begin, end, step in bounds[: len(shape)]]
    masks = MASKS | {"BeginMask": begin_mask, "EndMask": end_mask}
    sides = tuple(ints(list(column)) for column in zip(*parts, strict=True))
    slices = tuple(
        slice(
            None if begin_mask >> axis & 1 else begin, None if end_mask >> axis & 1 else end, step
        )
        for axis, (begin, end, step) in enumerate(parts)
    )
    expected = values[slices]
    if expected.size == 0 or any(
        not 0 <= (p[0] + n if p[0] < 0 else p[0]) < n for p, n in zip(parts, shape, strict=True)
    ):
        return
    case = Case(B.STRIDED_SLICE, (values, *sides), expected.shape, options=masks)
    test_a_folded_operator_equals_tflite_runtime(case)


@needs_oracle
def test_what_changes_nothing_is_left_out() -> None:
    """A PAD of nothing, a QUANTIZE to the same scale, a TRANSPOSE of no axes between two layers."""
    b = GraphBuilder()
    x = b.conv(b.input((4, 4, 3)), 4, (1, 1))
    graph = b.finish(b.conv(x, 4, (1, 1)))
    file = nameless(read(export_tflite(graph)))
    first, second = file.operators
    (between,) = first.outputs
    tensors = list(file.tensors)
    operators = [first]

    def constant(values: Array) -> int:
        tensors.append(FileTensor("c", values.shape, TensorType.INT32, data=raw_bytes(values)))
        return len(tensors) - 1

    nothing, as_is = constant(np.zeros((4, 2), np.int32)), constant(ints([0, 1, 2, 3]))
    for code, further in ((B.PAD, (nothing,)), (B.QUANTIZE, ()), (B.TRANSPOSE, (as_is,))):
        tensors.append(replace(tensors[between], name="same"))
        output = len(tensors) - 1
        operators.append(FileOperator(code, (operators[-1].outputs[0], *further), (output,)))
    operators.append(replace(second, inputs=(output, *second.inputs[1:])))
    data = write(replace(file, tensors=tuple(tensors), operators=tuple(operators)))
    found = import_tflite(data, "model")
    assert [type(op) for op in found.ops] == [Conv2D, Conv2D]
    inputs = random_inputs(graph, 2)
    np.testing.assert_array_equal(reference.run(found, inputs), reference.run(graph, inputs))
    assert_oracles_compute(data, found, inputs)


@pytest.mark.parametrize(
    ("code", "constants"),
    [
        (B.TRANSPOSE, (ints([0, 2, 1, 3]),)),
        (B.STRIDED_SLICE, (ints([0] * 4), ints([9] * 4), ints([1, -1, 1, 1]))),
    ],
)
def test_what_keeps_the_shape_may_still_change_values(
    code: int, constants: tuple[Array, ...]
) -> None:
    b = GraphBuilder()
    file = nameless(read(export_tflite(b.finish(b.conv(b.input((4, 4, 3)), 4, (1, 1))))))
    moved = len(file.tensors)
    given = tuple(
        FileTensor("c", values.shape, TensorType.INT32, data=raw_bytes(values))
        for values in constants
    )
    tensors = (*file.tensors, replace(file.tensors[file.inputs[0]], name="moved"), *given)
    indices = range(moved + 1, moved + 1 + len(given))
    mover = FileOperator(
        code, (file.inputs[0], *indices), (moved,), MASKS if len(given) > 1 else {}
    )
    conv = replace(file.operators[0], inputs=(moved, *file.operators[0].inputs[1:]))
    changed = replace(file, tensors=tensors, operators=(mover, conv))
    assert simplified(changed).operators == changed.operators


@needs_oracle
@pytest.mark.parametrize("scale", [0.0, 0.02])
def test_a_product_with_zeros_is_a_constant(scale: float) -> None:
    """As in the first step of an LSTM that was unrolled: its state is zero, and so is its scale."""
    b = GraphBuilder()
    x = b.input((4,))
    zeros = b.constant((4,))
    graph = b.finish(b.add(b.mul(x, zeros), x))
    tensor = graph.tensors[zeros]
    data = np.full(4, tensor.zero_point, np.int8).view(np.uint8)
    file = edited(graph, with_tensor(zeros, data=data, scales=(scale,)))
    found = import_tflite(file, "model")
    assert [type(op).__name__ for op in found.ops] == ["Add"]
    assert_oracles_compute(file, found, random_inputs(found, 5))
