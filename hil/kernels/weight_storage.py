"""Storage of weights in flash: the smallest exact form, expanded to int8 where they are used.

Values of 4 or 2 bits are packed into 32-bit words such that four are expanded at a time: field k
of byte j of a word is value 4 * k + j. The sparse forms hold the count of non-zero weights, a
bitmap of their positions (the first weight is the highest bit) and their values, packed. Only whole
words are read and written. `firmware/kernels/expand.c` is the inverse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compress.ops import DepthwiseConv2D, FullyConnected, Weighted
from compress.types import Array, Graph
from hil.kernel_interface.call import Words
from hil.kernel_interface.limits import round_up

# Rows of a FullyConnected are expanded and used a few at a time, within this size if possible.
SLICE_BYTES = 4096

_BLOCK = 32  # weights per word of the bitmap
_GAP = 48  # expand.c unpacks non-zero values behind the weights: a block and 16 for rounding up


@dataclass(frozen=True, slots=True)
class Form:
    """Values of 8, 4 or 2 bits; a sparse form holds the non-zero ones and a bitmap."""

    bits: int
    sparse: bool = False

    @property
    def text(self) -> str:
        return f"{'sparse ' if self.sparse else ''}int{self.bits}"


_FORMS = (Form(4), Form(2), Form(8, sparse=True), Form(4, sparse=True), Form(2, sparse=True))


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """Weights that have to be expanded before use, in slices.

    `words` holds slices of `rows` rows until `all_rows` are reached; the last may have fewer. A row
    is the `columns` weights of an output channel; a DepthwiseConv2D has a single row.
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
    def sliced(self) -> bool:
        """True if there is more than one slice."""
        return self.rows < self.all_rows

    @property
    def room_bytes(self) -> int:
        """Size of the buffer that a slice is expanded into, in whole words and blocks."""
        count = self.rows * self.columns
        if not self.form.sparse:
            return round_up(count, 32 // self.form.bits)
        if self.form.bits == 8:
            return round_up(count, _BLOCK)
        return round_up(count, 16) + _GAP


def stored_weights(graph: Graph, op: Weighted) -> Stored | None:
    """The smallest form of the weights of `op`, or None if they are stored as plain int8.

    int8 weights are stored plainly unless another form saves a quarter of their bytes: kernels read
    them from flash, without RAM and time to expand them. int4 weights are always packed.
    """
    tensor = graph.tensors[op.weights]
    if tensor.data is None:
        raise ValueError(f"{op.name}: {tensor.name} has no data")
    values = _by_row(op, tensor.data)
    rows = _slice_rows(graph, op, *values.shape)
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


def _slice_rows(graph: Graph, op: Weighted, rows: int, columns: int) -> int:
    """Rows per slice: all of them, or for a FullyConnected equal shares within SLICE_BYTES.

    Outputs of a slice must be contiguous: a FullyConnected of several inputs has one slice.
    """
    if not isinstance(op, FullyConnected) or graph.tensors[op.input].elements > columns:
        return rows
    slices = -(-rows // max(1, SLICE_BYTES // columns))
    return -(-rows // slices)


def _fits(values: Array, bits: int) -> bool:
    return bool(values.min() >= -(1 << bits - 1) and values.max() < 1 << bits - 1)


def _slices(values: Array, rows: int, form: Form) -> Words:
    starts = range(0, len(values), rows)
    return np.concatenate([encoded(values[i : i + rows].reshape(-1), form) for i in starts])


def encoded(values: Array, form: Form) -> Words:
    """int8 values (N,) encoded in `form`, whose range must hold them, as uint32 words."""
    if not form.sparse:
        return _packed(values, form.bits)
    taken = np.zeros(round_up(len(values), _BLOCK), bool)
    taken[: len(values)] = values != 0
    bitmap = np.packbits(taken).view(">u4").astype(np.uint32)
    nonzero = values[values != 0]
    count = np.array([len(nonzero)], np.uint32)
    return np.concatenate([count, bitmap, _packed(nonzero, form.bits)])


def _packed(values: Array, bits: int) -> Words:
    """int8 values (N,) packed into ceil(N * bits / 32) words."""
    fields = np.zeros(round_up(len(values), 32 // bits), np.uint32)
    fields[: len(values)] = values.astype(np.int64) & (1 << bits) - 1
    shifts = bits * np.arange(8 // bits)[:, None] + 8 * np.arange(4)
    words: Words = (fields.reshape(-1, 8 // bits, 4) << shifts.astype(np.uint32)).sum((1, 2))
    return words.astype(np.uint32)
