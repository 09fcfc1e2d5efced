"""How weights lie in flash: in the smallest exact form, to be expanded to int8 where they are used.

Values of 4 or 2 bits are packed into 32-bit words such that four are expanded at a time: field k
of byte j of a word is value 4 * k + j. Sparse weights are the count of those that are not zero, a
bitmap of their positions (the first weight is the highest bit) and their values, packed. Nothing
but whole words is read and written. `firmware/kernels/expand.c` is the inverse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compress.ops import Conv2D, DepthwiseConv2D, FullyConnected
from compress.types import Array, Graph

Weighted = Conv2D | DepthwiseConv2D | FullyConnected
Words = npt.NDArray[np.uint32]

# Rows of a FullyConnected are expanded and used a few at a time, within so many bytes if possible.
SLICE_BYTES = 4096

_BLOCK = 32  # weights of a word of the bitmap
_GAP = 48  # expand.c unpacks non-zero values behind the weights: a block and 16 of rounding


@dataclass(frozen=True, slots=True)
class Form:
    """Values of 8, 4 or 2 bits; of a sparse form those that are not zero, with a bitmap."""

    bits: int
    sparse: bool = False

    @property
    def text(self) -> str:
        return f"{'sparse ' if self.sparse else ''}int{self.bits}"


_FORMS = (Form(4), Form(2), Form(8, sparse=True), Form(4, sparse=True), Form(2, sparse=True))


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """Weights to be expanded: `words` holds slices of `rows` of `all_rows` rows, the last the rest.

    A row is the `columns` weights of an output channel; of a DepthwiseConv2D, all are one row.
    """

    form: Form
    words: Words
    all_rows: int
    rows: int
    columns: int

    @property
    def size_bytes(self) -> int:
        return 4 * len(self.words)

    @property
    def room_bytes(self) -> int:
        """What expanding a slice writes to, at most: in whole words and blocks."""
        count = self.rows * self.columns
        if not self.form.sparse:
            return _round_up(count, 32 // self.form.bits)
        if self.form.bits == 8:
            return _round_up(count, _BLOCK)
        return _round_up(count, 16) + _GAP


def stored_weights(graph: Graph, op: Weighted) -> Stored | None:
    """The smallest form of the weights of `op`, or None where they stay int8 as they are.

    int8 weights do unless that saves a quarter of their bytes: a kernel then reads them from
    flash, without RAM and time to expand them. int4 weights are always packed.
    """
    tensor = graph.tensors[op.weights]
    if tensor.data is None:
        raise ValueError(f"{op.name}: {tensor.name} has no data")
    values = _by_row(op, tensor.data)
    rows = _slice_rows(op, *values.shape)
    fitting = [form for form in _FORMS if _fits(values, form.bits)]
    stored = [
        Stored(form, _slices(values, rows, form), len(values), rows, values.shape[1])
        for form in fitting
    ]
    smallest = min(stored, key=lambda s: s.size_bytes)
    dense = tensor.dtype == "int8" and 4 * smallest.size_bytes > 3 * values.size
    return None if dense else smallest


def _by_row(op: Weighted, data: Array) -> Array:
    return data.reshape(1 if isinstance(op, DepthwiseConv2D) else len(data), -1)


def _slice_rows(op: Weighted, rows: int, columns: int) -> int:
    """Rows to be expanded at once: about equally many each time."""
    if not isinstance(op, FullyConnected):
        return rows
    slices = -(-rows // max(1, SLICE_BYTES // columns))
    return -(-rows // slices)


def _fits(values: Array, bits: int) -> bool:
    return bool(values.min() >= -(1 << bits - 1) and values.max() < 1 << bits - 1)


def _slices(values: Array, rows: int, form: Form) -> Words:
    starts = range(0, len(values), rows)
    return np.concatenate([encoded(values[i : i + rows].reshape(-1), form) for i in starts])


def encoded(values: Array, form: Form) -> Words:
    """int8 (N,) in `form`, which must hold them."""
    if not form.sparse:
        return _packed(values, form.bits)
    taken = np.zeros(_round_up(len(values), _BLOCK), bool)
    taken[: len(values)] = values != 0
    bitmap = np.packbits(taken).view(">u4").astype(np.uint32)
    nonzero = values[values != 0]
    count = np.array([len(nonzero)], np.uint32)
    return np.concatenate([count, bitmap, _packed(nonzero, form.bits)])


def _packed(values: Array, bits: int) -> Words:
    """int8 (N,) in ceil(N * bits / 32) words."""
    fields = np.zeros(_round_up(len(values), 32 // bits), np.uint32)
    fields[: len(values)] = values.astype(np.int64) & (1 << bits) - 1
    shifts = bits * np.arange(8 // bits)[:, None] + 8 * np.arange(4)
    words: Words = (fields.reshape(-1, 8 // bits, 4) << shifts.astype(np.uint32)).sum((1, 2))
    return words.astype(np.uint32)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
