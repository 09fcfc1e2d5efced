"""Stored operators that move elements, of every form, against the oracles and NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import tflite
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compress.errors import UnsupportedLayer
from compress.integer import reference
from compress.integer.eliminate import eliminate
from compress.ops import Reshape
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.tflite.write import write
from compress.tflite_records.file import BuiltinOperator, File, FileOperator, FileTensor, TensorType
from compress.tflite_records.tensor import raw_bytes
from compress.types import Array, Samples
from helpers.graph_builder import random_inputs
from helpers.oracles import assert_oracles_compute, needs_oracle
from hil.measure.oracle_check import check_oracle

relaxed = settings(deadline=None, max_examples=10, suppress_health_check=list(HealthCheck))
shapes = st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple)
Operand = Sequence[Any] | Array | None  # None is the activation


def stored(
    code: int,
    shape: tuple[int, ...],
    operands: Sequence[Operand],
    outputs: Sequence[tuple[int, ...]],
    options: dict[str, Any] | None = None,
    joined: bool = False,
) -> bytes:
    """A file of one operator on an int8 activation `shape`, its other operands constants.

    Where `joined`, the outputs are added up, so that the file has one; otherwise the first is it.
    """
    scale = (0.5,), (3,)
    tensors = [FileTensor("input", shape, TensorType.INT8, *scale)]
    inputs = []
    for number, operand in enumerate(operands):
        if operand is None:
            inputs.append(0)
            continue
        values = np.array(operand)
        kind = TensorType.INT8 if values.dtype == np.int8 else TensorType.INT32
        values = values if values.dtype == np.int8 else values.astype(np.int32)
        quantized = scale if kind == TensorType.INT8 else ((), ())
        data = raw_bytes(values)
        tensors.append(FileTensor(f"c{number}", values.shape, kind, *quantized, data=data))
        inputs.append(len(tensors) - 1)
    first = len(tensors)
    for number, extents in enumerate(outputs):
        tensors.append(FileTensor(f"output_{number}", extents, TensorType.INT8, *scale))
    written = tuple(range(first, len(tensors)))
    operators = [FileOperator(code, tuple(inputs), written, options or {})]
    result = first
    if joined:
        for other in written[1:]:
            tensors.append(FileTensor(f"sum_{other}", outputs[0], TensorType.INT8, (0.9,), (1,)))
            none = {"FusedActivationFunction": 0}
            pair = (result, other)
            result = len(tensors) - 1
            operators.append(FileOperator(BuiltinOperator.ADD, pair, (result,), none))
    return write(File("stored", tuple(tensors), tuple(operators), (0,), (result,)))


def assert_imported(data: bytes, expected: Callable[[Array], Array] | None = None) -> None:
    """The import equals the oracles layer by layer, `expected`, and its own export."""
    graph = import_tflite(data, "stored")
    inputs = random_inputs(graph, 3)
    outputs = reference.run(graph, inputs)
    if expected is not None:
        np.testing.assert_array_equal(outputs[0], expected(inputs[:1])[0])
    assert_oracles_compute(data, graph, inputs)
    check_oracle(data, Samples(inputs, np.zeros(3, np.int64), outputs.reshape(3, -1)))
    again = export_tflite(graph)
    assert import_tflite(again, "again").ops == graph.ops
    assert_oracles_compute(again, graph, inputs)
    np.testing.assert_array_equal(reference.run(eliminate(graph), inputs), outputs)


@needs_oracle
@relaxed
@given(shapes, st.data())
def test_slices(shape: tuple[int, ...], data: st.DataObject) -> None:
    begins = [data.draw(st.integers(0, n - 1)) for n in shape]
    sizes = [
        data.draw(st.integers(1, n - begin) | st.just(-1))
        for n, begin in zip(shape, begins, strict=True)
    ]
    where = tuple(
        slice(begin, None if size == -1 else begin + size)
        for begin, size in zip(begins, sizes, strict=True)
    )
    out = np.empty((1, *shape))[(slice(None), *where)].shape
    operands = (None, [0, *begins], [1, *sizes])
    file = stored(BuiltinOperator.SLICE, (1, *shape), operands, [out])
    assert_imported(file, lambda x: x[(slice(None), *where)])


@st.composite
def subscripts(draw: st.DrawFn, extent: int) -> slice | int:
    """A subscript of an axis that selects something, also beyond its ends."""
    if draw(st.booleans()):
        return draw(st.integers(-extent, extent - 1))
    ends = st.none() | st.integers(-extent - 2, extent + 2)
    where = slice(draw(ends), draw(ends), draw(st.sampled_from([None, 1, 2, -1, -2])))
    return where if len(range(extent)[where]) else slice(None)


@needs_oracle
@settings(relaxed, max_examples=40)
@given(shapes, st.data())
def test_strided_slices_with_every_mask(shape: tuple[int, ...], data: st.DataObject) -> None:
    subscript: list[Any] = [slice(None), *(data.draw(subscripts(n)) for n in shape)]
    rank = len(subscript)
    if rank < 4 and data.draw(st.booleans()):
        subscript.insert(data.draw(st.integers(1, rank)), None)
    elif data.draw(st.booleans()):
        start = data.draw(st.integers(1, rank - 1))
        subscript[start : data.draw(st.integers(start + 1, rank))] = [...]
    masks = dict.fromkeys(("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask"), 0)
    masks["ShrinkAxisMask"] = 0
    begins, ends, strides = [], [], []
    for position, one in enumerate(subscript):
        part = one if isinstance(one, slice) else slice(0, 1, 1)
        if one is ...:
            masks["EllipsisMask"] |= 1 << position
        elif one is None:
            masks["NewAxisMask"] |= 1 << position
        elif isinstance(one, int):
            masks["ShrinkAxisMask"] |= 1 << position
            part = slice(one, one + 1, 1)
        if part.start is None:
            masks["BeginMask"] |= 1 << position
        if part.stop is None:
            masks["EndMask"] |= 1 << position
        begins.append(part.start or 0)
        ends.append(part.stop or 0)
        strides.append(part.step or 1)
    out = np.empty((1, *shape))[tuple(subscript)].shape
    operands = (None, begins, ends, strides)
    file = stored(BuiltinOperator.STRIDED_SLICE, (1, *shape), operands, [out], masks)
    assert_imported(file, lambda x: x[tuple(subscript)])


@needs_oracle
@relaxed
@given(shapes, st.booleans(), st.data())
def test_splits(shape: tuple[int, ...], equal: bool, data: st.DataObject) -> None:
    axis = data.draw(st.integers(1, len(shape)))
    count = data.draw(st.integers(1, 3))
    whole = (1, *shape[: axis - 1], shape[axis - 1] * count, *shape[axis:])
    stored_axis = data.draw(st.sampled_from([axis, axis - len(whole)]))
    part = (*whole[:axis], shape[axis - 1], *whole[axis + 1 :])
    if equal:
        code, operands = BuiltinOperator.SPLIT, (np.int32(stored_axis), None)
        options = {"NumSplits": count}
    else:
        sizes = [shape[axis - 1]] * count
        sizes[data.draw(st.integers(0, count - 1))] = data.draw(st.sampled_from([-1, sizes[0]]))
        code, operands = BuiltinOperator.SPLIT_V, (None, sizes, np.int32(stored_axis))
        options = {"NumSplits": count}
    assert_imported(stored(code, whole, operands, [part] * count, options, joined=True))


@needs_oracle
@relaxed
@given(shapes, st.data())
def test_unpack_and_pack(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(1, len(shape)))
    count = shape[axis - 1]
    part = (1, *shape[: axis - 1], *shape[axis:])
    options: dict[str, Any] = {"Axis": axis, "Num": count}
    code = BuiltinOperator.UNPACK
    assert_imported(stored(code, (1, *shape), (None,), [part] * count, options, joined=True))
    constant = np.arange(np.prod(shape), dtype=np.int8).reshape(1, *shape)
    operands = [data.draw(st.sampled_from([None, constant])) for _ in range(2)]
    operands[data.draw(st.integers(0, 1))] = None
    operands = operands[: data.draw(st.integers(1, 2))]
    if operands[0] is not None:
        operands = [None]
    out = (1, *shape[: axis - 1], len(operands), *shape[axis - 1 :])
    options = {"Axis": axis - len(out), "ValuesCount": len(operands)}

    def packed(x: Array) -> Array:
        return np.stack([x if o is None else np.asarray(o) for o in operands], axis)

    assert_imported(stored(BuiltinOperator.PACK, (1, *shape), operands, [out], options), packed)


@needs_oracle
@relaxed
@given(shapes, st.data())
def test_gathers(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(1, len(shape)))
    one = st.integers(0, shape[axis - 1] - 1)
    if data.draw(st.booleans()):
        indices = np.int32(data.draw(one))
    else:
        indices = np.array(data.draw(st.lists(one, min_size=4, max_size=4)))
        indices = indices.reshape(data.draw(st.sampled_from([(4,), (2, 2), (1, 4)])))
    out = np.empty((1, *shape)).take(indices, axis).shape
    options = {"Axis": axis - data.draw(st.sampled_from([0, len(shape) + 1])), "BatchDims": 0}
    file = stored(BuiltinOperator.GATHER, (1, *shape), (None, indices), [out], options)
    assert_imported(file, lambda x: x.take(indices, axis))


@needs_oracle
@relaxed
@given(shapes, st.data())
def test_repetitions(shape: tuple[int, ...], data: st.DataObject) -> None:
    times = [1, *(data.draw(st.integers(1, 3)) for _ in shape)]
    out = tuple(n * m for n, m in zip((1, *shape), times, strict=True))
    file = stored(BuiltinOperator.TILE, (1, *shape), (None, times), [out])
    assert_imported(file, lambda x: np.tile(x, times))
    narrow = tuple(data.draw(st.sampled_from([1, n])) for n in shape)
    out = (1, *(data.draw(st.just([]) | st.just([2]))), *shape)
    file = stored(BuiltinOperator.BROADCAST_TO, (1, *narrow), (None, out), [out])
    assert_imported(file, lambda x: np.broadcast_to(x, out))


@needs_oracle
@relaxed
@given(shapes, st.data())
def test_reversals_and_transposes(shape: tuple[int, ...], data: st.DataObject) -> None:
    axes = [1 + data.draw(st.integers(0, len(shape) - 1))]
    file = stored(BuiltinOperator.REVERSE_V2, (1, *shape), (None, axes), [(1, *shape)])
    assert_imported(file, lambda x: np.flip(x, axes))
    order = [0, *data.draw(st.permutations(range(1, len(shape) + 1)))]
    out = tuple((1, *shape)[axis] for axis in order)
    file = stored(BuiltinOperator.TRANSPOSE, (1, *shape), (None, order), [out])
    assert_imported(file, lambda x: x.transpose(order))


@needs_oracle
@relaxed
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(1, 3))
def test_blocks(rows: int, columns: int, depth: int, block: int) -> None:
    deep = (1, rows, columns, depth * block * block)
    wide = (1, rows * block, columns * block, depth)
    options = {"BlockSize": block}
    assert_imported(stored(BuiltinOperator.DEPTH_TO_SPACE, deep, (None,), [wide], options))
    assert_imported(stored(BuiltinOperator.SPACE_TO_DEPTH, wide, (None,), [deep], options))


@needs_oracle
@relaxed
@given(shapes, st.booleans(), st.data())
def test_mirrored_padding(shape: tuple[int, ...], symmetric: bool, data: st.DataObject) -> None:
    longest = [n if symmetric else n - 1 for n in shape]
    pairs = [(data.draw(st.integers(0, n)), data.draw(st.integers(0, n))) for n in longest]
    sides = [(0, 0), *pairs]
    mode = tflite.MirrorPadMode.SYMMETRIC if symmetric else tflite.MirrorPadMode.REFLECT
    out = tuple(n + sum(pair) for n, pair in zip((1, *shape), sides, strict=True))
    file = stored(BuiltinOperator.MIRROR_PAD, (1, *shape), (None, sides), [out], {"Mode": mode})
    assert_imported(file, lambda x: np.pad(x, sides, mode="symmetric" if symmetric else "reflect"))


@needs_oracle
@settings(relaxed, max_examples=30)
@given(shapes, st.sampled_from(["ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM"]), st.data())
def test_operands_repeat_along_any_axes(
    shape: tuple[int, ...], kind: str, data: st.DataObject
) -> None:
    """A part of the input, which has extent 1 along some axes, and the input or another part."""
    parts = [(1, *(data.draw(st.sampled_from([1, n])) for n in shape)) for _ in range(2)]
    out = np.broadcast_shapes(*parts)
    constant = data.draw(st.sampled_from([None, 0, 1]))
    scale = (0.5,), (3,)
    tensors = [FileTensor("input", (1, *shape), TensorType.INT8, *scale)]
    operators, operands = [], []
    for number, part in enumerate(parts):
        if constant == number:
            values = np.random.default_rng(0).integers(-128, 128, part).astype(np.int8)
            stored_values = raw_bytes(values)
            tensors.append(FileTensor("c", part, TensorType.INT8, *scale, data=stored_values))
            operands.append(len(tensors) - 1)
            continue
        begins, sizes = np.zeros(len(part), np.int32), np.array(part, np.int32)
        for name, values in (("begin", begins), ("size", sizes)):
            data_ = raw_bytes(values)
            tensors.append(
                FileTensor(f"{name}{number}", (len(part),), TensorType.INT32, data=data_)
            )
        tensors.append(FileTensor(f"part{number}", part, TensorType.INT8, *scale))
        count = len(tensors)
        slices = (0, count - 3, count - 2)
        operators.append(FileOperator(BuiltinOperator.SLICE, slices, (count - 1,)))
        operands.append(count - 1)
    tensors.append(FileTensor("out", out, TensorType.INT8, *scale))
    options = {"FusedActivationFunction": 0} if kind in ("ADD", "SUB", "MUL") else {}
    code = getattr(BuiltinOperator, kind)
    operators.append(FileOperator(code, tuple(operands), (len(tensors) - 1,), options))
    file = File("repeats", tuple(tensors), tuple(operators), (0,), (len(tensors) - 1,))
    assert_imported(write(file))


def test_a_transpose_of_unit_axes_is_a_view() -> None:
    file = stored(BuiltinOperator.TRANSPOSE, (1, 1, 5), (None, [1, 0, 2]), [(1, 1, 5)])
    assert [type(op) for op in import_tflite(file, "view").ops] == [Reshape]


def test_outputs_that_nothing_reads_are_not_computed() -> None:
    file = stored(BuiltinOperator.SPLIT, (1, 6), (np.int32(1), None), [(1, 3)] * 2)
    assert len(import_tflite(file, "one").ops) == 1


@pytest.mark.parametrize(
    ("code", "operands", "out", "options", "message"),
    [
        (BuiltinOperator.TRANSPOSE, (None, [1, 0, 2]), (4, 1, 3), {}, "has batch 4, must be 1"),
        (BuiltinOperator.GATHER, (None, [0]), (1, 1, 3), {"Axis": 1, "BatchDims": 1}, "batch dim"),
        (BuiltinOperator.MIRROR_PAD, (None, [[0, 0], [4, 0], [0, 0]]), (1, 8, 3), {}, "beyond"),
    ],
)
def test_what_is_not_supported_is_named(
    code: int,
    operands: Sequence[Operand],
    out: tuple[int, ...],
    options: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(UnsupportedLayer, match=message):
        import_tflite(stored(code, (1, 4, 3), operands, [out], options), "refused")
