"""Tensors as the graph has them and as a .tflite file stores them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from compress.errors import UnsupportedLayer, UserError
from compress.tflite_file import FileTensor, TensorType
from compress.types import Array, DType, Tensor

FILE_TYPES: Mapping[DType, int] = {"int8": TensorType.INT8, "int32": TensorType.INT32}
_DTYPES: Mapping[int, DType] = {code: dtype for dtype, code in FILE_TYPES.items()}
_TYPE_NAMES: Mapping[int, str] = {
    code: name.lower() for name, code in vars(TensorType).items() if isinstance(code, int)
}


def type_name(code: int) -> str:
    """The name of a type of the file format, as NumPy writes it."""
    return _TYPE_NAMES.get(code, f"type {code}")


def to_file(tensor: Tensor) -> FileTensor:
    """Raises UnsupportedLayer for a type other than int8 and int32."""
    if tensor.dtype not in FILE_TYPES:
        raise UnsupportedLayer(f"{tensor.name}: {tensor.dtype} is not exported")
    return FileTensor(
        tensor.name,
        tensor.shape,
        FILE_TYPES[tensor.dtype],
        tensor.scales,
        (tensor.zero_point,) * len(tensor.scales),
        # With one scale the axis says nothing; it must not make equal tensors differ.
        tensor.axis or 0 if len(tensor.scales) > 1 else 0,
        None if tensor.data is None else raw_bytes(tensor.data),
    )


def raw_bytes(values: Array) -> Array:
    """The bytes of `values`, little-endian, as uint8."""
    little = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"))
    return np.frombuffer(little.tobytes(), np.uint8)


def from_file(stored: FileTensor) -> Tensor:
    """Raises UnsupportedLayer for another type, UserError where data and shape disagree.

    A tensor without quantization gets scale 1: of the operators' constants, only those that are
    plain numbers (shapes, paddings) have none.
    """
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


def _values(stored: FileTensor, raw: Array, dtype: DType) -> Array:
    item = np.dtype(dtype).newbyteorder("<")
    if min(stored.shape, default=1) < 0 or math.prod(stored.shape) * item.itemsize != raw.size:
        raise UserError(
            f"tensor {stored.name}: {raw.size} bytes of data for shape {stored.shape} of {dtype}"
        )
    values: Array = np.frombuffer(raw.tobytes(), item).astype(dtype)
    return values.reshape(stored.shape)
