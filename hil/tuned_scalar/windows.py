"""Which inputs the windows of a convolution read, pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compress.ops import Conv2D, DepthwiseConv2D
from compress.types import Graph
from hil.tuned.requantize import Int64Array

# Of a window that lies in the padding altogether: it reads nothing.
_NOTHING = np.int64(2**40)


@dataclass(frozen=True, slots=True)
class TapAxis:
    """Rows or columns of a convolution: extents, filter taps, their distances."""

    size: int
    outputs: int
    taps: int
    stride: int
    dilation: int
    before: int

    def positions(self) -> Int64Array:
        """Of each output and tap the row or column that it reads: (outputs, taps)."""
        starts = np.arange(self.outputs, dtype=np.int64) * self.stride - self.before
        return starts[:, None] + np.arange(self.taps, dtype=np.int64) * self.dilation

    def inside(self) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Whether that is inside of the input: (outputs, taps)."""
        at = self.positions()
        return (at >= 0) & (at < self.size)

    def first(self) -> Int64Array:
        """Of each output the first row or column it reads; _NOTHING if all are padding."""
        first: Int64Array = np.where(self.inside(), self.positions(), _NOTHING).min(1)
        return first


@dataclass(frozen=True, slots=True)
class FilterWindows:
    """The windows of a convolution on an input of `depth` channels; `output` is its tensor."""

    rows: TapAxis
    columns: TapAxis
    depth: int
    output: int

    @property
    def leave_input(self) -> bool:
        """True if a window has taps in the padding."""
        return not (self.rows.inside().all() and self.columns.inside().all())

    def first_inputs(self) -> Int64Array:
        """Of each output pixel the number of the first input pixel it reads: (pixels,)."""
        rows, columns = self.rows.first(), self.columns.first()
        return (rows[:, None] * self.columns.size + columns).reshape(-1)


def windows_of(graph: Graph, op: Conv2D | DepthwiseConv2D) -> FilterWindows:
    """The windows of a convolution, with or without depth."""
    _, height, width, depth = graph.tensors[op.input].shape
    _, out_height, out_width, _ = graph.tensors[op.output].shape
    _, rows, columns, _ = graph.tensors[op.weights].shape
    pad, stride, dilation = op.padding, op.stride, op.dilation
    return FilterWindows(
        rows=TapAxis(height, out_height, rows, stride[0], dilation[0], pad.top),
        columns=TapAxis(width, out_width, columns, stride[1], dilation[1], pad.left),
        depth=depth,
        output=op.output,
    )
