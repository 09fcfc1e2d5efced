"""Conversion between the values of several activations and rows of bytes, one row a sample.

Rows are what the device reads and writes: the bytes of all inputs, or of all outputs, in the order
of the graph, int16 little-endian.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compress.types import Array, Int8Array, IntArray, Tensor


def pack_rows(values: Sequence[IntArray]) -> Int8Array:
    """The bytes, int8 (N, bytes), of activations (N, ...) of int8 or int16."""
    rows = [_bytes(value) for value in values]
    return rows[0] if len(rows) == 1 else np.concatenate(rows, axis=1)


def unpack_rows(tensors: Sequence[Tensor], rows: Int8Array) -> tuple[IntArray, ...]:
    """The values (N, *shape[1:]) of activations `tensors` from rows of bytes (N, ...).

    Raises ValueError if the rows have another number of bytes.
    """
    flat = rows.reshape(len(rows), -1)
    ends = np.cumsum([tensor.size_bytes for tensor in tensors])
    if flat.shape[1] != ends[-1]:
        raise ValueError(f"rows of {flat.shape[1]} bytes, must be {ends[-1]}")
    parts = np.split(flat, ends[:-1], axis=1)
    return tuple(
        _values(part, tensor).reshape(len(rows), *tensor.shape[1:])
        for part, tensor in zip(parts, tensors, strict=True)
    )


def _bytes(values: IntArray) -> Int8Array:
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return little.reshape(len(values), -1).view(np.int8)


def _values(part: Int8Array, tensor: Tensor) -> IntArray:
    stored: Array = np.ascontiguousarray(part).view(np.dtype(tensor.item).newbyteorder("<"))
    return stored.astype(tensor.item, copy=False)
