"""Does a `Graph` hold together? Indices, order, shapes, types and quantization of every operator.

A graph that passes can be executed, exported and rendered without further checks.
"""

from __future__ import annotations

import math
from itertools import dropwhile
from typing import assert_never

from compress.errors import UnsupportedLayer
from compress.integer.check_tensors import (
    check_activation,
    check_constants,
    check_operand,
    check_types,
    require,
)
from compress.integer.fixedpoint import clamp_range, conv_multipliers
from compress.integer.lookup import lookup_table
from compress.integer.parameters import (
    add_parameters,
    mean_parameters,
    mul_parameters,
    requantize_parameters,
    softmax_parameters,
)
from compress.integer.windows import output_size
from compress.ops import (
    Activation,
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
from compress.types import Graph, Tensor

_NOT_ON_INT16 = (Activation.RELU_N1_TO_1, "int16")
LARGEST_WINDOW = 1024  # windows, strides, dilations and paddings above are damage, not design
_LARGEST_INT16_POOL = 2**16 - 1  # elements whose sum stays inside of int32


def check_graph(graph: Graph) -> None:
    """Raises UserError for an inconsistent graph, UnsupportedLayer for what has no kernel."""
    count = len(graph.tensors)
    require(0 <= graph.input < count and 0 <= graph.output < count, graph.name, "input or output")
    ready = {graph.input}
    for edge in (graph.input_tensor, graph.output_tensor):
        check_activation(edge)
        if edge.dtype != "int8":
            raise UnsupportedLayer(f"{edge.name}: input and output must be int8, not {edge.dtype}")
    for op in graph.ops:
        indices = (*inputs_of(op), *constants_of(op), op.output)
        require(len(inputs_of(op)) > 0, op.name, "no input")
        require(all(0 <= i < count for i in indices), op.name, "tensor indices")
        require(ready.issuperset(inputs_of(op)), op.name, "input before it is computed")
        require(op.output not in ready, op.name, "output written twice")
        ready.add(op.output)
        check_activation(graph.tensors[op.output])
        check_types(graph, op)
        _check_op(graph, op)
    require(graph.output in ready, graph.name, "output is never computed")


def _check_op(graph: Graph, op: Op) -> None:
    x, out = graph.tensors[inputs_of(op)[0]], graph.tensors[op.output]
    match op:
        case Conv2D() | DepthwiseConv2D():
            _check_convolution(graph, op)
        case FullyConnected():
            require(len(out.shape) == 2, op.name, f"output shape {out.shape}, must be (1, N)")
            check_constants(graph, op, out.shape[-1], axis=0)
            weights = graph.tensors[op.weights]
            require(weights.shape == (out.shape[1], x.elements), op.name, "weights' shape")
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
            require(x.shape[-1] == out.shape[-1], op.name, "channels")
            clamp_range(out, op.activation)
            if out.dtype == "int16" and math.prod(op.filter) > _LARGEST_INT16_POOL:
                raise UnsupportedLayer(f"{op.name}: a pool on int16 beyond {_LARGEST_INT16_POOL}")
        case Reshape():
            _check_kept(op.name, x, out)
            require(x.elements == out.elements, op.name, f"{x.shape} to {out.shape}")
        case Softmax():
            require(x.shape == out.shape, op.name, f"{x.shape} to {out.shape}")
            if out.zero_point != -128 or abs(out.scale * 256 - 1) > 1e-3:
                raise UnsupportedLayer(f"{op.name}: output must have scale 1/256, zero point -128")
            softmax_parameters(graph, op)
        case Requantize():
            require(x.shape == out.shape, op.name, f"{x.shape} to {out.shape}")
            _check_requantize(op, x, out)
            requantize_parameters(graph, op)
        case Lookup():
            require(x.shape == out.shape, op.name, f"{x.shape} to {out.shape}")
            require(math.isfinite(op.alpha), op.name, f"alpha {op.alpha}")
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


def _check_requantize(op: Requantize, x: Tensor, out: Tensor) -> None:
    """TFLite's RELU and RELU6 keep the type, and there is no RELU_N1_TO_1 on int16."""
    types = f"{x.dtype} to {out.dtype}"
    clamps = op.activation is not Activation.NONE
    if clamps and (x.dtype != out.dtype or (op.activation, x.dtype) == _NOT_ON_INT16):
        raise UnsupportedLayer(f"{op.name}: there is no {op.activation.name} of {types}")


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
        check_operand(op, right)
    if out.dtype == "int16" and (op.constant or right.shape != left.shape):
        raise UnsupportedLayer(f"{op.name}: operands on int16 must be of one shape, not constant")


def _check_mean(op: Mean, x: Tensor, out: Tensor) -> None:
    axes, rank = op.axes, len(x.shape)
    consecutive = axes == tuple(range(axes[0], axes[0] + len(axes))) if axes else False
    require(consecutive and axes[0] >= 1 and axes[-1] < rank, op.name, f"axes {axes}")
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(x.shape))
    dropped = tuple(n for axis, n in enumerate(x.shape) if axis not in axes)
    require(out.shape in (kept, dropped), op.name, f"{x.shape} to {out.shape}")


def _check_pad(op: Pad, x: Tensor, out: Tensor) -> None:
    _check_kept(op.name, x, out)
    rank = len(x.shape)
    require(len(op.before) == len(op.after) == rank, op.name, "sides")
    require(min(*op.before, *op.after) >= 0, op.name, "sides")
    padded = tuple(map(sum, zip(op.before, x.shape, op.after, strict=True)))
    require(out.shape == padded, op.name, f"output {out.shape}, must be {padded}")
    require(-128 <= op.value <= 127, op.name, f"value {op.value}")


def _check_concatenate(graph: Graph, op: Concatenate) -> None:
    out = graph.tensors[op.output]
    require(1 <= op.axis < len(out.shape), op.name, f"axis {op.axis}")
    parts = [graph.tensors[index] for index in op.inputs]
    for x in parts:
        _check_kept(op.name, x, out)
        require(len(x.shape) == len(out.shape), op.name, f"{x.shape} in {out.shape}")
    extents = [x.shape[op.axis] for x in parts]
    require(sum(extents) == out.shape[op.axis], op.name, f"{extents} along axis {op.axis}")
    for x in parts:
        others = (*x.shape[: op.axis], out.shape[op.axis], *x.shape[op.axis + 1 :])
        require(others == out.shape, op.name, f"{x.shape} in {out.shape}")


def _check_convolution(graph: Graph, op: Conv2D | DepthwiseConv2D) -> None:
    x, out, weights = graph.tensors[op.input], graph.tensors[op.output], graph.tensors[op.weights]
    require(len(weights.shape) == 4, op.name, f"weights of shape {weights.shape}")
    require(len(x.shape) == len(out.shape) == 4, op.name, f"{x.shape} to {out.shape}")
    channels_in, channels_out = x.shape[3], out.shape[3]
    if isinstance(op, DepthwiseConv2D):
        check_constants(graph, op, channels_out, axis=3)
        expected: tuple[int, ...] = (1, *weights.shape[1:3], channels_out)
        require(channels_out % channels_in == 0, op.name, f"{channels_in}->{channels_out}")
    else:
        check_constants(graph, op, channels_out, axis=0)
        expected = (channels_out, *weights.shape[1:3], channels_in)
    require(weights.shape == expected, op.name, f"weights {weights.shape}, must be {expected}")
    _check_window(op, x, out, (weights.shape[1], weights.shape[2]), op.dilation)
    conv_multipliers(graph, op)


def _check_window(
    op: Conv2D | DepthwiseConv2D | AveragePool2D | MaxPool2D,
    x: Tensor,
    out: Tensor,
    window: tuple[int, int],
    dilation: tuple[int, int],
) -> None:
    """Also: no window may lie wholly in the padding, where a mean or maximum has no meaning."""
    require(len(x.shape) == len(out.shape) == 4, op.name, f"{x.shape} to {out.shape}")
    p = op.padding
    sides = ((p.top, p.bottom), (p.left, p.right))
    for axis, (before, after) in enumerate(sides):
        n, w, s, d = x.shape[1 + axis], window[axis], op.stride[axis], dilation[axis]
        require(min(w, s, d) >= 1 and min(before, after) >= 0, op.name, "window")
        if max(w, s, d, before, after) > LARGEST_WINDOW:
            raise UnsupportedLayer(f"{op.name}: a window beyond {LARGEST_WINDOW}")
        extent = output_size(n, w, s, d, before + after)
        require(out.shape[1 + axis] == extent, op.name, f"output {out.shape}, must have {extent}")
        reach = (w - 1) * d
        if isinstance(op, AveragePool2D | MaxPool2D) and (before > reach or after > reach):
            raise UnsupportedLayer(f"{op.name}: a window wholly in the padding")


def _check_kept(name: str, x: Tensor, out: Tensor) -> None:
    if x.scales != out.scales or x.zero_point != out.zero_point:
        raise UnsupportedLayer(f"{name}: output must keep the input's scale and zero point")
