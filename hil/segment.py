"""Segments of layers that are computed row by row: windows, rings of rows, and their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RowInput:
    """A tensor of which a layer reads `filter_rows` rows for each row that it makes.

    Its window moves down by `stride` rows; `top` rows of padding are above the first, `bottom`
    below the last.
    """

    tensor: int
    filter_rows: int = 1
    stride: int = 1
    top: int = 0
    bottom: int = 0


@dataclass(frozen=True, slots=True)
class RowLayer:
    """An operator by its index in the graph, the windows of its inputs and its `rows` of outputs.

    `sums` is true for a mean over all rows: it takes a row at a time, and `rows` are those of its
    input. Its output is there after the last.
    """

    index: int
    inputs: tuple[RowInput, ...]
    output: int
    rows: int
    sums: bool = False


@dataclass(frozen=True, slots=True)
class Ring:
    """The rows that are kept of a tensor, `top` rows of padding above its first one included.

    `shared` is the tensor in whose ring it is, row over row: its own index for most. It is alive
    during the operators `first_op` to `last_op`.
    """

    tensor: int
    shared: int
    rows: int
    step: int
    top: int
    bottom: int
    first_op: int
    last_op: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of layers that is computed row by row.

    `order` are the positions of its layers in the order in which they make their rows.
    `rings` has a ring for each tensor between two of the layers. `sources` are the tensors that
    were whole before, with the rows of padding that they need above and below. `lead_rows` are, for
    each source, pairs of rows: how many of the output are written while how many of the source,
    padding included, are read for the last time.
    """

    layers: tuple[RowLayer, ...]
    order: tuple[int, ...]
    rings: Mapping[int, Ring]
    sources: Mapping[int, tuple[int, int]]
    lead_rows: Mapping[int, tuple[tuple[int, int], ...]]

    @property
    def first(self) -> int:
        """The index of its first operator."""
        return self.layers[0].index

    @property
    def last(self) -> int:
        """The index of its last operator."""
        return self.layers[-1].index

    @property
    def output(self) -> int:
        """The tensor that is whole after it."""
        return self.layers[-1].output

    def runs(self, position: int) -> int:
        """How often the layer at a position runs."""
        return self.order.count(position)
