"""Conv2D and FullyConnected on cores with MVE: convolve_mve.c and fully_connected_mve.c."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from compress.ops import Conv2D, FullyConnected
from compress.types import Graph
from hil.kernel_interface.call import Call, size_text, stride_text
from hil.kernel_interface.operator_kernels import Kernel, TunedKernel
from hil.tuned.calls import Field, job_call
from hil.tuned.cores import has_mve
from hil.tuned.requantize import Channels, channels_of
from hil.tuned_mve.panels import (
    MVE_PANEL_CHANNELS,
    PARAMETERS,
    STEP_TAPS,
    mve_panel_parameters,
    mve_panel_rows,
    pack_mve_panels,
    scaling_of,
)
from hil.tuned_mve.windows import SlidingWindows, lead_bytes
from hil.types import Board, Step

_NAME = "convolve_mve"
_DENSE = "fully_connected_mve"
# Outputs of a row whose windows are copied at a time: more would cost RAM and save few calls.
_SEGMENTS = (16, 8, 4, 2)
# Inputs of few channels that are copied at a time.
_MOVED_INPUTS = 8


@dataclass(frozen=True, slots=True)
class _Shape:
    """A convolution's extents. Pixels are in one row where the filter and stride are 1x1."""

    windows: SlidingWindows
    depth: int
    channels: int

    @property
    def column_bytes(self) -> int:
        """A column of a window."""
        return self.windows.window[0] * self.depth

    @property
    def steps(self) -> int:
        return -(-self.column_bytes * self.windows.window[1] // STEP_TAPS)

    @property
    def segments(self) -> tuple[int, ...]:
        """Outputs whose windows may be copied at a time, the fastest first."""
        columns = self.windows.outputs[1]
        return tuple(dict.fromkeys(min(segment, columns) for segment in _SEGMENTS))

    def scratch_bytes(self, segment: int) -> int:
        """The columns of a segment, and what is read behind a window."""
        columns = (segment - 1) * self.windows.stride[1] + self.windows.window[1]
        return columns * self.column_bytes + STEP_TAPS


def _pixels(graph: Graph, op: FullyConnected) -> _Shape:
    """A layer of several rows is a convolution of a row of pixels."""
    units, depth = graph.tensors[op.weights].shape
    pixels = (1, graph.tensors[op.input].elements // depth)
    return _Shape(SlidingWindows(pixels, pixels, (1, 1), (1, 1), (0, 0)), depth, units)


def _convolution(graph: Graph, op: Conv2D) -> _Shape | None:
    """None for a convolution in groups or with a dilated filter."""
    _, filter_rows, filter_columns, depth = graph.tensors[op.weights].shape
    _, rows, columns, inputs = graph.tensors[op.input].shape
    _, out_rows, out_columns, channels = graph.tensors[op.output].shape
    window, before = (filter_rows, filter_columns), (op.padding.top, op.padding.left)
    dilated = any(step > 1 and extent > 1 for step, extent in zip(op.dilation, window, strict=True))
    if inputs != depth or dilated:
        return None
    same = (rows, columns) == (out_rows, out_columns)
    if window == op.stride == (1, 1) and before == (0, 0) and same:
        rows, columns = out_rows, out_columns = 1, rows * columns
    windows = SlidingWindows((rows, columns), (out_rows, out_columns), window, op.stride, before)
    return _Shape(windows, depth, channels)


def _shape(graph: Graph, op: Conv2D | FullyConnected) -> _Shape | None:
    return _pixels(graph, op) if isinstance(op, FullyConnected) else _convolution(graph, op)


def _channels(graph: Graph, op: Conv2D | FullyConnected, shape: _Shape) -> Channels | None:
    """The channels, weights in the order of the windows: (columns, rows, depth)."""
    weights = graph.tensors[op.weights]
    if weights.data is None or weights.dtype != "int8":
        return None
    taps = weights.data.reshape(shape.channels, *shape.windows.window, shape.depth)
    by_column = taps.transpose(0, 2, 1, 3).reshape(shape.channels, -1)
    return channels_of(graph, op, by_column.astype(np.int64))


def _kernels(graph: Graph, op: Conv2D | FullyConnected, board: Board) -> Iterator[Kernel]:
    shape = _shape(graph, op) if has_mve(board) else None
    if shape is None or _channels(graph, op, shape) is None:
        return
    if isinstance(op, FullyConnected) and shape.windows.outputs == (1, 1):
        # All inputs are read for each panel: only the last one's outputs may lie over them.
        before_last = len(mve_panel_rows(shape.channels)) - MVE_PANEL_CHANNELS
        yield Kernel(_DENSE, lead_bytes=before_last)
        return
    for segment in shape.segments:
        yield Kernel(
            _NAME,
            scratch_bytes=shape.scratch_bytes(segment),
            lead_bytes=lead_bytes(shape.windows, shape.depth, shape.channels, segment),
        )


def _call(graph: Graph, step: Step, op: Conv2D | FullyConnected) -> Call:
    shape = _shape(graph, op)
    assert shape is not None, "only layers of its kernel are called"
    channels = _channels(graph, op, shape)
    assert channels is not None, "only layers of its kernel are called"
    scaling = scaling_of(channels, graph.tensors[op.output].zero_point)
    numbers = {
        "steps": shape.steps,
        "channels": shape.channels,
        "zero": scaling.zero,
        "lowest": scaling.lowest,
        "highest": scaling.highest,
    }
    if step.kernel == _NAME:
        assert step.scratch is not None, "it has some"
        numbers |= _window_numbers(graph, op, shape, step.scratch.size_bytes)
    window, stride = shape.windows.window, shape.windows.stride
    text = (f"filter {size_text(window)}", *stride_text(stride))
    return job_call(
        graph,
        step,
        op,
        function=step.kernel,
        fields=[Field(name, value) for name, value in numbers.items()],
        arrays=(
            ("weights", "int8_t", pack_mve_panels(channels.weights)),
            ("parameters", "int32_t", mve_panel_parameters(scaling)),
        ),
        window=() if isinstance(op, FullyConnected) else text,
    )


def _window_numbers(
    graph: Graph, op: Conv2D | FullyConnected, shape: _Shape, room_bytes: int
) -> dict[str, int]:
    """The members of a convolve_mve_layer about windows: the largest segment that has room."""
    w = shape.windows
    return {
        "rows": w.inputs[0],
        "columns": w.inputs[1],
        "depth": shape.depth,
        "filter_rows": w.window[0],
        "filter_columns": w.window[1],
        "row_stride": w.stride[0],
        "column_stride": w.stride[1],
        "top": w.before[0],
        "left": w.before[1],
        "out_rows": w.outputs[0],
        "out_columns": w.outputs[1],
        "segment": next(s for s in shape.segments if shape.scratch_bytes(s) <= room_bytes),
        "turn_pixels": max(1, _MOVED_INPUTS // shape.depth),
        "padding": graph.tensors[op.input].zero_point,
    }


def _weight_bytes(graph: Graph, op: Conv2D | FullyConnected) -> int:
    shape = _shape(graph, op)
    assert shape is not None, "only layers of its kernel are asked for"
    return len(mve_panel_rows(shape.channels)) * (STEP_TAPS * shape.steps + PARAMETERS)


def _named(name: str) -> Callable[[Graph, FullyConnected, Board], Iterator[Kernel]]:
    """The kernels of that name."""

    def kernels(graph: Graph, op: FullyConnected, board: Board) -> Iterator[Kernel]:
        return (kernel for kernel in _kernels(graph, op, board) if kernel.name == name)

    return kernels


CONV2D_KERNELS: tuple[TunedKernel[Conv2D], ...] = (
    TunedKernel(name=_NAME, kernels=_kernels, call=_call, weight_bytes=_weight_bytes),
)
FULLY_CONNECTED_KERNELS: tuple[TunedKernel[FullyConnected], ...] = tuple(
    TunedKernel(
        name=name,
        kernels=_named(name),
        call=_call,
        weight_bytes=_weight_bytes,
    )
    for name in (_DENSE, _NAME)
)
