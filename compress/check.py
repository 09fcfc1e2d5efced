"""Does a `Graph` hold together? Indices, order, shapes, types and quantization of every operator.

A graph that passes can be executed, exported and rendered without further checks.
"""

from __future__ import annotations

import math
from itertools import dropwhile
from typing import assert_never

from compress.accumulate import accumulator_offset
from compress.errors import UnsupportedLayer, UserError
from compress.fixedpoint import INT4_MAX, INT4_MIN, clamp_range, conv_multipliers
from compress.lookup import lookup_table
from compress.ops import (
    Add,
    AveragePool2D,
    Concatenate,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Lookup,
    MaxPool2D,
    Mean,
    Mul,
    Op,
    Pad,
    Requantize,
    Reshape,
    Softmax,
    constants_of,
    inputs_of,
)
from compress.parameters import (
    add_parameters,
    mean_parameters,
    mul_parameters,
    requantize_parameters,
    softmax_parameters,
)
from compress.types import Graph, Tensor
from compress.windows import output_size

LARGEST_WINDOW = 1024  # windows, strides, dilations and paddings above are damage, not design
_LARGEST_ELEMENTS = 2**24  # of an activation: more than any microcontroller's RAM


def check_graph(graph: Graph) -> None:
    """Raises UserError for an inconsistent graph, UnsupportedLayer for what has no kernel."""
    count = len(graph.tensors)
    _require(0 <= graph.input < count and 0 <= graph.output < count, graph.name, "input or output")
    ready = {graph.input}
    _check_activation(graph.input_tensor)
    for op in graph.ops:
        indices = (*inputs_of(op), *constants_of(op), op.output)
        _require(len(inputs_of(op)) > 0, op.name, "no input")
        _require(all(0 <= i < count for i in indices), op.name, "tensor indices")
        _require(ready.issuperset(inputs_of(op)), op.name, "input before it is computed")
        _require(op.output not in ready, op.name, "output written twice")
        ready.add(op.output)
        _check_activation(graph.tensors[op.output])
        _check_op(graph, op)
    _require(graph.output in ready, graph.name, "output is never computed")


def _require(condition: bool, name: str, what: str) -> None:
    if not condition:
        raise UserError(f"{name}: inconsistent graph ({what})")


def _check_activation(tensor: Tensor) -> None:
    name = tensor.name
    _require(tensor.data is None, name, "an activation with constant data")
    if tensor.dtype != "int8":
        raise UnsupportedLayer(f"{name}: activations must be int8, not {tensor.dtype}")
    if len(tensor.scales) != 1:
        raise UnsupportedLayer(f"{name}: activations need exactly one scale")
    _require(math.isfinite(tensor.scale) and tensor.scale > 0, name, f"scale {tensor.scale}")
    _require(-128 <= tensor.zero_point <= 127, name, f"zero point {tensor.zero_point}")
    shape = tensor.shape
    _require(min(shape, default=0) >= 1, name, f"shape {shape}")
    _require(math.prod(shape) <= _LARGEST_ELEMENTS, name, f"shape {shape}")
    if shape[0] != 1:
        raise UnsupportedLayer(f"{name}: shape {shape} has batch {shape[0]}, must be 1")


def _check_op(graph: Graph, op: Op) -> None:
    x, out = graph.tensors[inputs_of(op)[0]], graph.tensors[op.output]
    match op:
        case Conv2D() | DepthwiseConv2D():
            _check_convolution(graph, op)
        case FullyConnected():
            _require(len(out.shape) == 2, op.name, f"output shape {out.shape}, must be (1, N)")
            _check_constants(graph, op, out.shape[-1], axis=0)
            weights = graph.tensors[op.weights]
            _require(weights.shape == (out.shape[1], x.elements), op.name, "weights' shape")
            conv_multipliers(graph, op)
        case Add() | Mul():
            _check_binary(graph, op)
            if isinstance(op, Add):
                add_parameters(graph, op)
            else:
                mul_parameters(graph, op)
        case AveragePool2D() | MaxPool2D():
            _check_kept(op.name, x, out)
            _check_window(op, x, out, op.filter, (1, 1))
            _require(x.shape[-1] == out.shape[-1], op.name, "channels")
            clamp_range(out, op.activation)
        case Reshape():
            _check_kept(op.name, x, out)
            _require(x.elements == out.elements, op.name, f"{x.shape} to {out.shape}")
        case Softmax():
            _require(x.shape == out.shape, op.name, f"{x.shape} to {out.shape}")
            if out.zero_point != -128 or abs(out.scale * 256 - 1) > 1e-3:
                raise UnsupportedLayer(f"{op.name}: output must have scale 1/256, zero point -128")
            softmax_parameters(graph, op)
        case Requantize():
            _require(x.shape == out.shape, op.name, f"{x.shape} to {out.shape}")
            requantize_parameters(graph, op)
        case Lookup():
            _require(x.shape == out.shape, op.name, f"{x.shape} to {out.shape}")
            _require(math.isfinite(op.alpha), op.name, f"alpha {op.alpha}")
            lookup_table(graph, op)
        case Mean():
            _check_mean(op, x, out)
            mean_parameters(graph, op)
        case Pad():
            _check_pad(op, x, out)
        case Concatenate():
            _check_concatenate(graph, op)
        case _:
            assert_never(op)


def _check_binary(graph: Graph, op: Add | Mul) -> None:
    left, right, out = graph.tensors[op.left], graph.tensors[op.right], graph.tensors[op.output]
    core = tuple(dropwhile(lambda n: n == 1, right.shape))
    repeats = (
        len(right.shape) <= len(left.shape) and left.shape[len(left.shape) - len(core) :] == core
    )
    if left.shape != out.shape or not repeats:
        raise UnsupportedLayer(
            f"{op.name}: {type(op).__name__} of {left.shape} and {right.shape} to {out.shape}"
        )
    if op.constant:
        data = right.data
        _require(data is not None and data.shape == right.shape, op.name, f"{right.name} shape")
        if right.dtype != "int8" or len(right.scales) != 1:
            raise UnsupportedLayer(f"{op.name}: {right.name} must be int8 with one scale")
        _require(math.isfinite(right.scale) and right.scale > 0, op.name, f"scale {right.scale}")
        _require(-128 <= right.zero_point <= 127, op.name, f"zero point {right.zero_point}")


def _check_mean(op: Mean, x: Tensor, out: Tensor) -> None:
    axes, rank = op.axes, len(x.shape)
    consecutive = axes == tuple(range(axes[0], axes[0] + len(axes))) if axes else False
    _require(consecutive and axes[0] >= 1 and axes[-1] < rank, op.name, f"axes {axes}")
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(x.shape))
    dropped = tuple(n for axis, n in enumerate(x.shape) if axis not in axes)
    _require(out.shape in (kept, dropped), op.name, f"{x.shape} to {out.shape}")


def _check_pad(op: Pad, x: Tensor, out: Tensor) -> None:
    _check_kept(op.name, x, out)
    rank = len(x.shape)
    _require(len(op.before) == len(op.after) == rank, op.name, "sides")
    _require(min(*op.before, *op.after) >= 0, op.name, "sides")
    padded = tuple(map(sum, zip(op.before, x.shape, op.after, strict=True)))
    _require(out.shape == padded, op.name, f"output {out.shape}, must be {padded}")
    _require(-128 <= op.value <= 127, op.name, f"value {op.value}")


def _check_concatenate(graph: Graph, op: Concatenate) -> None:
    out = graph.tensors[op.output]
    _require(1 <= op.axis < len(out.shape), op.name, f"axis {op.axis}")
    parts = [graph.tensors[index] for index in op.inputs]
    for x in parts:
        _check_kept(op.name, x, out)
        _require(len(x.shape) == len(out.shape), op.name, f"{x.shape} in {out.shape}")
    extents = [x.shape[op.axis] for x in parts]
    _require(sum(extents) == out.shape[op.axis], op.name, f"{extents} along axis {op.axis}")
    for x in parts:
        others = (*x.shape[: op.axis], out.shape[op.axis], *x.shape[op.axis + 1 :])
        _require(others == out.shape, op.name, f"{x.shape} in {out.shape}")


def _check_convolution(graph: Graph, op: Conv2D | DepthwiseConv2D) -> None:
    x, out, weights = graph.tensors[op.input], graph.tensors[op.output], graph.tensors[op.weights]
    _require(len(weights.shape) == 4, op.name, f"weights of shape {weights.shape}")
    _require(len(x.shape) == len(out.shape) == 4, op.name, f"{x.shape} to {out.shape}")
    channels_in, channels_out = x.shape[3], out.shape[3]
    if isinstance(op, DepthwiseConv2D):
        _check_constants(graph, op, channels_out, axis=3)
        expected: tuple[int, ...] = (1, *weights.shape[1:3], channels_out)
        _require(channels_out % channels_in == 0, op.name, f"{channels_in}->{channels_out}")
    else:
        _check_constants(graph, op, channels_out, axis=0)
        expected = (channels_out, *weights.shape[1:3], channels_in)
    _require(weights.shape == expected, op.name, f"weights {weights.shape}, must be {expected}")
    _check_window(op, x, out, (weights.shape[1], weights.shape[2]), op.dilation)
    conv_multipliers(graph, op)


def _check_constants(
    graph: Graph, op: Conv2D | DepthwiseConv2D | FullyConnected, channels: int, axis: int
) -> None:
    weights, bias = graph.tensors[op.weights], graph.tensors[op.bias]
    for tensor, dtypes in ((weights, ("int8", "int4")), (bias, ("int32",))):
        data = tensor.data
        _require(data is not None, op.name, f"{tensor.name} has no data")
        if tensor.dtype not in dtypes or (data is not None and data.dtype != tensor.item):
            raise UnsupportedLayer(f"{op.name}: {tensor.name} is {tensor.dtype}")
        _require(data is not None and data.shape == tensor.shape, op.name, f"{tensor.name} shape")
        _require(all(math.isfinite(s) and s > 0 for s in tensor.scales), op.name, "scales")
    _require(min(weights.shape, default=0) >= 1, op.name, f"weights of shape {weights.shape}")
    if weights.dtype == "int4" and weights.data is not None:
        lowest, highest = int(weights.data.min()), int(weights.data.max())
        in_range = lowest >= INT4_MIN and highest <= INT4_MAX
        _require(in_range, op.name, f"int4 weights of {lowest} .. {highest}")
    _require(weights.shape[axis : axis + 1] == (channels,), op.name, "weights' shape")
    _require(bias.shape == (channels,), op.name, f"bias of shape {bias.shape}")
    if weights.zero_point != 0 or bias.zero_point != 0:
        raise UnsupportedLayer(f"{op.name}: weights must be symmetric (zero point 0)")
    if len(weights.scales) != 1 and (len(weights.scales) != channels or weights.axis != axis):
        allowed = f"one scale, or {channels} along axis {axis}"
        raise UnsupportedLayer(f"{op.name}: weights have {len(weights.scales)} scales: {allowed}")
    accumulator_offset(graph, op)


def _check_window(
    op: Conv2D | DepthwiseConv2D | AveragePool2D | MaxPool2D,
    x: Tensor,
    out: Tensor,
    window: tuple[int, int],
    dilation: tuple[int, int],
) -> None:
    """Also: no window may lie wholly in the padding, where a mean or maximum has no meaning."""
    _require(len(x.shape) == len(out.shape) == 4, op.name, f"{x.shape} to {out.shape}")
    p = op.padding
    sides = ((p.top, p.bottom), (p.left, p.right))
    for axis, (before, after) in enumerate(sides):
        n, w, s, d = x.shape[1 + axis], window[axis], op.stride[axis], dilation[axis]
        _require(min(w, s, d) >= 1 and min(before, after) >= 0, op.name, "window")
        if max(w, s, d, before, after) > LARGEST_WINDOW:
            raise UnsupportedLayer(f"{op.name}: a window beyond {LARGEST_WINDOW}")
        extent = output_size(n, w, s, d, before + after)
        _require(out.shape[1 + axis] == extent, op.name, f"output {out.shape}, must have {extent}")
        reach = (w - 1) * d
        if isinstance(op, AveragePool2D | MaxPool2D) and (before > reach or after > reach):
            raise UnsupportedLayer(f"{op.name}: a window wholly in the padding")


def _check_kept(name: str, x: Tensor, out: Tensor) -> None:
    if x.scales != out.scales or x.zero_point != out.zero_point:
        raise UnsupportedLayer(f"{name}: output must keep the input's scale and zero point")
