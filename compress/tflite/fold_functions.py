"""Operators that the import evaluates where all of their inputs are constants.

They compute shapes (of a dynamic batch, which is 1 here) and move or convert constants. Each
function takes the inputs as NumPy arrays and returns the output, or None where it does not cover
the operator. Integers wrap as TensorFlow Lite's do.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from compress.arithmetic.fixedpoint import (
    multiply_by_quantized_multiplier,
    quantize_multiplier,
)
from compress.tflite_records.file import BuiltinOperator, FileTensor, TensorType
from compress.types import Array

_INTEGERS = (TensorType.INT8, TensorType.INT16, TensorType.UINT8)
_LARGEST_RATIO = 2.0**14  # of scales: an int16 minus a zero point stays within int32
LARGEST_VALUES = 1 << 22  # of a result: far more than fits a microcontroller
NUMPY_TYPES: Mapping[int, str] = {
    TensorType.FLOAT16: "<f2",
    TensorType.FLOAT32: "<f4",
    TensorType.INT8: "i1",
    TensorType.INT16: "<i2",
    TensorType.INT32: "<i4",
    TensorType.INT64: "<i8",
    TensorType.UINT8: "u1",
    TensorType.UINT32: "<u4",
    TensorType.BOOL: "?",
}


def constant_values(tensor: FileTensor) -> Array | None:
    """The values of a constant; None for an activation and for data that do not fit the shape."""
    if tensor.data is None or tensor.type not in NUMPY_TYPES or min(tensor.shape, default=0) < 0:
        return None
    item = np.dtype(NUMPY_TYPES[tensor.type])
    if tensor.data.size != item.itemsize * math.prod(tensor.shape):
        return None
    values: Array = np.frombuffer(tensor.data.tobytes(), item).reshape(tensor.shape)
    return values


@dataclass(frozen=True, slots=True)
class Call:
    """One operator with constant inputs: their values, stored forms, options, output's form."""

    values: Sequence[Array]
    inputs: Sequence[FileTensor]
    options: Mapping[str, Any]
    output: FileTensor

    def integers(self, position: int) -> list[int]:
        return [int(n) for n in self.values[position].reshape(-1)]

    @property
    def plain(self) -> bool:
        """True if no operand is quantized: arithmetic is on the numbers themselves."""
        return not any(tensor.scales for tensor in (*self.inputs, self.output))


@dataclass(frozen=True, slots=True)
class Folded:
    """How an operator is evaluated; `table` and `fields` are its options in the file format.

    One that does not read values is given none: it needs the shapes of its inputs alone.
    """

    evaluate: Callable[[Call], Array | None]
    table: str = ""
    fields: tuple[str, ...] = ()
    reads_values: bool = True


def _shape(call: Call) -> Array | None:
    return np.array(call.inputs[0].shape, NUMPY_TYPES[call.output.type])


def _rank(call: Call) -> Array | None:
    return np.array(len(call.inputs[0].shape), NUMPY_TYPES[call.output.type])


def _strided_slice(call: Call) -> Array | None:
    options = call.options
    if options["EllipsisMask"] or options["NewAxisMask"] or options["Offset"]:
        return None
    x = call.values[0]
    begins, ends, steps = (call.integers(position) for position in (1, 2, 3))
    if not len(begins) == len(ends) == len(steps) <= x.ndim or 0 in steps:
        return None
    parts: list[slice | int] = []
    for axis, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True)):
        if options["ShrinkAxisMask"] >> axis & 1:
            if not -x.shape[axis] <= begin < x.shape[axis]:
                return None
            parts.append(begin)
        else:
            first = None if options["BeginMask"] >> axis & 1 else begin
            last = None if options["EndMask"] >> axis & 1 else end
            parts.append(slice(first, last, step))
    return np.asarray(x[tuple(parts)])


def _slice(call: Call) -> Array | None:
    x, begins, sizes = call.values[0], call.integers(1), call.integers(2)
    if len(begins) != x.ndim or len(sizes) != x.ndim or min(begins, default=0) < 0:
        return None
    ends = [None if n < 0 else begin + n for begin, n in zip(begins, sizes, strict=True)]
    return x[tuple(slice(begin, end) for begin, end in zip(begins, ends, strict=True))]


def _pack(call: Call) -> Array | None:
    return np.stack(call.values, int(call.options["Axis"]))


def _concatenate(call: Call) -> Array | None:
    if call.options["FusedActivationFunction"]:
        return None
    return np.concatenate(call.values, int(call.options["Axis"]))


def _gather(call: Call) -> Array | None:
    if call.options["BatchDims"]:
        return None
    return np.take(call.values[0], call.values[1].astype(np.int64), int(call.options["Axis"]))


def _cast(call: Call) -> Array | None:
    """The value in the output's type, where that holds it exactly."""
    if not call.plain:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the comparison tells
        cast = call.values[0].astype(NUMPY_TYPES[call.output.type])
    return cast if np.array_equal(cast, call.values[0]) else None


def _reshape(call: Call) -> Array | None:
    return call.values[0].reshape(call.output.shape)


def _transpose(call: Call) -> Array | None:
    return np.transpose(call.values[0], call.integers(1))


def _tile(call: Call) -> Array | None:
    repeats = call.integers(1)
    if len(repeats) != call.values[0].ndim or not 0 < int(np.prod(repeats)) <= LARGEST_VALUES:
        return None
    return np.tile(call.values[0], repeats)


def _broadcast_to(call: Call) -> Array | None:
    shape = call.integers(1)
    if not 0 < int(np.prod(shape)) <= LARGEST_VALUES:
        return None
    return np.broadcast_to(call.values[0], shape)


def _fill(call: Call) -> Array | None:
    shape = call.integers(0)
    if not 0 <= int(np.prod(shape)) <= LARGEST_VALUES or min(shape, default=0) < 0:
        return None
    return np.full(shape, call.values[1].reshape(()))


def _range(call: Call) -> Array | None:
    start, limit, step = (value.reshape(()).item() for value in call.values)
    if not all(isinstance(n, int) for n in (start, limit, step)) or step == 0:
        return None
    count = len(range(start, limit, step))
    if count > LARGEST_VALUES:
        return None
    return np.arange(start, limit, step, dtype=NUMPY_TYPES[call.output.type])


def _dequantize(call: Call) -> Array | None:
    """float32 of scale * (value - zero point) in double precision (reference/dequantize.h)."""
    stored, values = call.inputs[0], call.values[0]
    if stored.type == TensorType.FLOAT16:
        return values.astype(np.float32)
    if len(stored.scales) != 1 or len(stored.zero_points) != 1:
        return None
    steps = values.astype(np.int64) - stored.zero_points[0]
    return (stored.scales[0] * steps.astype(np.float64)).astype(np.float32)


def _quantize(call: Call) -> Array | None:
    """Float32 to integers: to nearest, ties away from zero, then a clamp (quantize.h)."""
    source, out = call.inputs[0], call.output
    if out.type not in _INTEGERS or not _has_one_scale(out):
        return None
    if source.type in _INTEGERS and _has_one_scale(source):
        return _requantized(call)
    if source.type != TensorType.FLOAT32:
        return None
    ratios = (call.values[0] / np.float32(out.scales[0])).astype(np.float64)
    if not np.isfinite(ratios).all():
        return None
    steps = np.copysign(np.floor(np.abs(ratios) + 0.5), ratios) + out.zero_points[0]
    limits = np.iinfo(NUMPY_TYPES[out.type])
    return np.clip(steps, limits.min, limits.max).astype(NUMPY_TYPES[out.type])


def _requantized(call: Call) -> Array | None:
    """Integers to integers of another scale, zero point or type (requantize.h)."""
    source, out = call.inputs[0], call.output
    ratio = source.scales[0] / out.scales[0]
    if ratio >= _LARGEST_RATIO:
        return None
    multiplier, shift = quantize_multiplier(ratio)
    steps = call.values[0].astype(np.int64) - source.zero_points[0]
    limits = np.iinfo(NUMPY_TYPES[out.type])
    values = multiply_by_quantized_multiplier(steps, multiplier, shift) + out.zero_points[0]
    return np.clip(values, limits.min, limits.max).astype(NUMPY_TYPES[out.type])


def _has_one_scale(tensor: FileTensor) -> bool:
    return len(tensor.scales) == len(tensor.zero_points) == 1 and tensor.scales[0] > 0


def _arithmetic(function: Callable[[Array, Array], Array], call: Call) -> Array | None:
    left, right = call.values
    if not call.plain or left.dtype.kind != "i" or call.options.get("FusedActivationFunction"):
        return None
    if function is np.floor_divide and not right.all():
        return None
    return function(left, right)


def _reduced(function: Callable[..., Array], call: Call) -> Array | None:
    x = call.values[0]
    axes = tuple(call.integers(1))
    if not call.plain or x.dtype.kind != "i" or not all(-x.ndim <= a < x.ndim for a in axes):
        return None
    kept = bool(call.options["KeepDims"])
    return np.asarray(function(x, axis=axes, keepdims=kept)).astype(x.dtype)


def _binary(function: Callable[[Array, Array], Array], table: str = "") -> Folded:
    fields = ("FusedActivationFunction",) if table else ()
    return Folded(functools.partial(_arithmetic, function), table, fields)


def _reducer(function: Callable[..., Array]) -> Folded:
    return Folded(functools.partial(_reduced, function), "ReducerOptions", ("KeepDims",))


_MASKS = ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask", "Offset")
FOLDED: Mapping[int, Folded] = {
    BuiltinOperator.SHAPE: Folded(_shape, "ShapeOptions", ("OutType",), reads_values=False),
    BuiltinOperator.RANK: Folded(_rank, reads_values=False),
    BuiltinOperator.STRIDED_SLICE: Folded(_strided_slice, "StridedSliceOptions", _MASKS),
    BuiltinOperator.SLICE: Folded(_slice),
    BuiltinOperator.PACK: Folded(_pack, "PackOptions", ("Axis",)),
    BuiltinOperator.CONCATENATION: Folded(
        _concatenate, "ConcatenationOptions", ("Axis", "FusedActivationFunction")
    ),
    BuiltinOperator.GATHER: Folded(_gather, "GatherOptions", ("Axis", "BatchDims")),
    BuiltinOperator.CAST: Folded(_cast),
    BuiltinOperator.RESHAPE: Folded(_reshape),
    BuiltinOperator.EXPAND_DIMS: Folded(_reshape),
    BuiltinOperator.SQUEEZE: Folded(_reshape),
    BuiltinOperator.TRANSPOSE: Folded(_transpose),
    BuiltinOperator.TILE: Folded(_tile),
    BuiltinOperator.BROADCAST_TO: Folded(_broadcast_to),
    BuiltinOperator.FILL: Folded(_fill),
    BuiltinOperator.RANGE: Folded(_range),
    BuiltinOperator.DEQUANTIZE: Folded(_dequantize),
    BuiltinOperator.QUANTIZE: Folded(_quantize),
    BuiltinOperator.ADD: _binary(np.add, "AddOptions"),
    BuiltinOperator.SUB: _binary(np.subtract, "SubOptions"),
    BuiltinOperator.MUL: _binary(np.multiply, "MulOptions"),
    BuiltinOperator.FLOOR_DIV: _binary(np.floor_divide),
    BuiltinOperator.MAXIMUM: _binary(np.maximum),
    BuiltinOperator.MINIMUM: _binary(np.minimum),
    BuiltinOperator.REDUCE_PROD: _reducer(np.prod),
    BuiltinOperator.SUM: _reducer(np.sum),
    BuiltinOperator.REDUCE_MAX: _reducer(np.max),
    BuiltinOperator.REDUCE_MIN: _reducer(np.min),
}
# Operators that keep each element's bits, so that its quantization must stay, too.
BIT_PRESERVING = (
    BuiltinOperator.STRIDED_SLICE,
    BuiltinOperator.SLICE,
    BuiltinOperator.PACK,
    BuiltinOperator.CONCATENATION,
    BuiltinOperator.GATHER,
    BuiltinOperator.RESHAPE,
    BuiltinOperator.EXPAND_DIMS,
    BuiltinOperator.SQUEEZE,
    BuiltinOperator.TRANSPOSE,
    BuiltinOperator.TILE,
    BuiltinOperator.BROADCAST_TO,
    BuiltinOperator.FILL,
)
