"""Conversion between tensors of the graph and tensors of a .tflite file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from compress.errors import UnsupportedLayer, UserError
from compress.tflite_records.file import FileTensor, TensorType
from compress.tflite_records.names import shortened
from compress.types import Array, DType, Int8Array, Tensor

FILE_TYPES: Mapping[DType, int] = {
    "int8": TensorType.INT8,
    "int4": TensorType.INT4,
    "int16": TensorType.INT16,
    "int32": TensorType.INT32,
}
_DTYPES: Mapping[int, DType] = {code: dtype for dtype, code in FILE_TYPES.items()}
_TYPE_NAMES: Mapping[int, str] = {
    code: name.lower() for name, code in vars(TensorType).items() if isinstance(code, int)
}

_MOST_VALUES = 2**29  # bytes of each of the regions for code and SRAM (Armv7-M ARM, B3.1)
_LARGEST_STATE = 2**24  # elements: more than any microcontroller's RAM


def type_name(code: int) -> str:
    """The name of a type of the file format, as NumPy writes it."""
    return _TYPE_NAMES.get(code, f"type {code}")


def to_file(tensor: Tensor) -> FileTensor:
    """The stored form of `tensor`. Raises UnsupportedLayer for a type not in FILE_TYPES."""
    if tensor.dtype not in FILE_TYPES:
        raise UnsupportedLayer(f"{tensor.name}: {tensor.dtype} is not exported")
    return FileTensor(
        tensor.name,
        tensor.shape,
        FILE_TYPES[tensor.dtype],
        tensor.scales,
        (tensor.zero_point,) * len(tensor.scales),
        # With one scale the axis has no meaning; 0 keeps equal tensors equal.
        tensor.axis or 0 if len(tensor.scales) > 1 else 0,
        None if tensor.data is None else _stored(tensor.data, tensor.dtype),
    )


def _stored(values: Array, dtype: DType) -> Array:
    return packed(values) if dtype == "int4" else raw_bytes(values)


def packed(values: Array) -> Array:
    """int4 values (int8, any shape) as uint8, two per byte, the first of them in the low nibble."""
    nibbles = np.append(values.reshape(-1), np.zeros(values.size % 2, np.int8)).view(np.uint8)
    pairs = nibbles.reshape(-1, 2) & 15
    return pairs[:, 0] | pairs[:, 1] << 4


def _unpacked(stored: Array, count: int) -> Int8Array:
    """Inverse of `packed`: the first `count` values, their sign extended."""
    nibbles = np.stack([stored & 15, stored >> 4], axis=1).reshape(-1)[:count]
    values: Int8Array = (nibbles.astype(np.int8) ^ 8) - np.int8(8)
    return values


def raw_bytes(values: Array) -> Array:
    """The bytes of `values`, little-endian, as uint8."""
    little = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"))
    return np.frombuffer(little.tobytes(), np.uint8)


def from_file(stored: FileTensor) -> Tensor:
    """The graph's form of a stored tensor.

    int64, the type of biases on int16, becomes int32. A tensor without quantization gets scale 1:
    only constants that are plain numbers (shapes, paddings) have none. Long names are cut.

    Raises UnsupportedLayer for another type, several zero points, or int64 values beyond int32;
    UserError where data and shape disagree, for an extent below 0, or for more values than the
    memory of any Cortex-M.
    """
    stored = replace(stored, name=shortened(stored.name))
    if min(stored.shape, default=0) < 0:
        raise UserError(f"tensor {stored.name} has an extent below 0: shape {stored.shape}")
    if math.prod(stored.shape) > _MOST_VALUES:
        raise UserError(
            f"tensor {stored.name} has more values than a Cortex-M can have bytes of RAM, "
            f"{_MOST_VALUES:,}: shape {stored.shape}"
        )
    if stored.type == TensorType.INT64:
        stored = _narrowed(stored)
    if stored.type not in _DTYPES:
        raise UnsupportedLayer(f"tensor {stored.name} is {type_name(stored.type)}, must be int8")
    dtype = _DTYPES[stored.type]
    scales = stored.scales or (1.0,)
    if len(set(stored.zero_points)) > 1:
        raise UnsupportedLayer(f"tensor {stored.name} has several zero points")
    zero_point = stored.zero_points[0] if stored.zero_points else 0
    axis = stored.axis if len(scales) > 1 else None
    data = None if stored.data is None else _values(stored, stored.data, dtype)
    return Tensor(stored.name, stored.shape, dtype, scales, zero_point, axis, data)


def _narrowed(stored: FileTensor) -> FileTensor:
    """An int64 constant as int32."""
    if stored.data is None:
        raise UnsupportedLayer(f"tensor {stored.name} is int64, must be int8")
    if stored.data.size % 8:
        raise UserError(f"tensor {stored.name}: no whole int64 values")
    wide = np.frombuffer(stored.data.tobytes(), "<i8")
    if wide.size and max(-int(wide.min()) - 1, int(wide.max())) >= 2**31:
        raise UnsupportedLayer(f"tensor {stored.name} has values beyond int32")
    narrow: Array = wide.astype(np.int32)
    return replace(stored, type=TensorType.INT32, data=raw_bytes(narrow))


def _values(stored: FileTensor, raw: Array, dtype: DType) -> Array:
    count = math.prod(stored.shape)
    expected = Tensor(stored.name, stored.shape, dtype, (1.0,)).size_bytes
    if min(stored.shape, default=1) < 0 or expected != raw.size:
        raise UserError(
            f"tensor {stored.name}: {raw.size} bytes of data for shape {stored.shape} of {dtype}"
        )
    if dtype == "int4":
        return _unpacked(raw, count).reshape(stored.shape)
    item = np.dtype(dtype).newbyteorder("<")
    values: Array = np.frombuffer(raw.tobytes(), item).astype(dtype)
    return values.reshape(stored.shape)


def first_state(tensor: Tensor) -> Array:
    """The zero of each element: what a state is before the first inference.

    Raises UserError for a shape that has no elements, or more than a microcontroller can hold.
    """
    elements = math.prod(tensor.shape)
    if min(tensor.shape, default=1) < 1 or elements > _LARGEST_STATE:
        raise UserError(f"{tensor.name}: damaged: a state of shape {tensor.shape}")
    return np.full(tensor.shape, tensor.zero_point, tensor.item)
