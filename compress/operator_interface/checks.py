"""Validity checks that operator families share: shapes, scales, windows."""

from __future__ import annotations

import math

from compress.arithmetic.fixedpoint import value_range
from compress.arithmetic.windows import LARGEST_WINDOW, output_size
from compress.errors import UnsupportedLayer, UserError
from compress.ops import (
    AveragePool2D,
    Conv2D,
    DepthwiseConv2D,
    MaxPool2D,
    Op,
    activations_of,
)
from compress.types import Graph, Tensor

_LARGEST_ELEMENTS = 2**24  # of an activation: more than any microcontroller's RAM


def require(condition: bool, name: str, what: str) -> None:
    """Raise UserError unless the condition holds."""
    if not condition:
        raise UserError(f"{name}: inconsistent graph ({what})")


def check_activation(tensor: Tensor) -> None:
    """Require int8 or int16; one scale; batch 1."""
    name = tensor.name
    require(tensor.data is None, name, "an activation with constant data")
    if tensor.dtype not in ("int8", "int16"):
        raise UnsupportedLayer(f"{name}: activations must be int8 or int16, not {tensor.dtype}")
    if len(tensor.scales) != 1:
        raise UnsupportedLayer(f"{name}: activations need exactly one scale")
    check_scale(tensor, name)
    shape = tensor.shape
    if not shape:
        raise UnsupportedLayer(f"{name}: a scalar, must have a batch dimension of 1")
    require(min(shape, default=0) >= 1, name, f"shape {shape}")
    require(math.prod(shape) <= _LARGEST_ELEMENTS, name, f"shape {shape}")
    if shape[0] != 1:
        raise UnsupportedLayer(f"{name}: shape {shape} has batch {shape[0]}, must be 1")


def check_scale(tensor: Tensor, name: str) -> None:
    """Require a positive scale, and a zero point of its type, of a tensor with one scale."""
    lowest, highest = value_range(tensor.dtype)
    require(math.isfinite(tensor.scale) and tensor.scale > 0, name, f"scale {tensor.scale}")
    require(lowest <= tensor.zero_point <= highest, name, f"zero point {tensor.zero_point}")


def check_same_shape(name: str, x: Tensor, out: Tensor) -> None:
    """Require input and output of one shape."""
    require(x.shape == out.shape, name, f"{x.shape} to {out.shape}")


def check_same_scale(name: str, x: Tensor, out: Tensor) -> None:
    """Require input and output of one scale and zero point."""
    if x.scales != out.scales or x.zero_point != out.zero_point:
        raise UnsupportedLayer(f"{name}: output must keep the input's scale and zero point")


def check_window(
    op: Conv2D | DepthwiseConv2D | AveragePool2D | MaxPool2D,
    x: Tensor,
    out: Tensor,
    window: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> None:
    """Require NHWC tensors and the output extents that window, stride and padding give."""
    require(len(x.shape) == len(out.shape) == 4, op.name, f"{x.shape} to {out.shape}")
    p = op.padding
    for axis, (before, after) in enumerate(((p.top, p.bottom), (p.left, p.right))):
        n, w, s, d = x.shape[1 + axis], window[axis], op.stride[axis], dilation[axis]
        require(min(w, s, d) >= 1 and min(before, after) >= 0, op.name, "window")
        if max(w, s, d, before, after) > LARGEST_WINDOW:
            raise UnsupportedLayer(f"{op.name}: a window beyond {LARGEST_WINDOW}")
        extent = output_size(n, w, s, d, before + after)
        require(out.shape[1 + axis] == extent, op.name, f"output {out.shape}, must have {extent}")


def check_state(graph: Graph, op: Op, read: int, written: int) -> None:
    """Require a state of the graph that only `op` reads and writes, first its zero point."""
    tensor = graph.tensors[read]
    found = [v for v in graph.variables if read == v.read or written == v.written]
    own = len(found) == 1 and (found[0].read, found[0].written) == (read, written)
    require(own, op.name, f"{tensor.name} is not a state")
    require(bool((found[0].initial == tensor.zero_point).all()), op.name, "first state")
    others = (index for other in graph.ops if other is not op for index in activations_of(other))
    shared = {read, written}.intersection((*graph.inputs, *graph.outputs, *others))
    require(not shared, op.name, f"{tensor.name} is shared")
