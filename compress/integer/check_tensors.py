"""Are the tensors of one operator what its kernels take? Types, scales and constants."""

from __future__ import annotations

import math

from compress.errors import UnsupportedLayer, UserError
from compress.integer.accumulate import accumulator_offset
from compress.integer.fixedpoint import INT4_MAX, INT4_MIN
from compress.ops import (
    Add,
    AveragePool2D,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool2D,
    Mul,
    Op,
    Requantize,
    Reshape,
    inputs_of,
)
from compress.types import Graph, Tensor

_LARGEST_ELEMENTS = 2**24  # of an activation: more than any microcontroller's RAM
# Those that TFLite's "16x8" has and our kernels, too.
_ON_INT16 = Conv2D | DepthwiseConv2D | FullyConnected | Add | AveragePool2D | MaxPool2D | Reshape


def require(condition: bool, name: str, what: str) -> None:
    """Raises UserError unless the condition holds."""
    if not condition:
        raise UserError(f"{name}: inconsistent graph ({what})")


def check_activation(tensor: Tensor) -> None:
    """An int8 tensor, or an int16 one with zero point 0; one scale, batch 1."""
    name = tensor.name
    require(tensor.data is None, name, "an activation with constant data")
    if tensor.dtype not in ("int8", "int16"):
        raise UnsupportedLayer(f"{name}: activations must be int8 or int16, not {tensor.dtype}")
    if len(tensor.scales) != 1:
        raise UnsupportedLayer(f"{name}: activations need exactly one scale")
    _check_scale(tensor, name)
    if tensor.dtype == "int16" and tensor.zero_point != 0:
        raise UnsupportedLayer(f"{name}: int16 with zero point {tensor.zero_point}, must be 0")
    shape = tensor.shape
    require(min(shape, default=0) >= 1, name, f"shape {shape}")
    require(math.prod(shape) <= _LARGEST_ELEMENTS, name, f"shape {shape}")
    if shape[0] != 1:
        raise UnsupportedLayer(f"{name}: shape {shape} has batch {shape[0]}, must be 1")


def check_types(graph: Graph, op: Op) -> None:
    """One type for inputs and output, int16 only where there is a kernel; `Requantize` converts."""
    types = {graph.tensors[index].dtype for index in (*inputs_of(op), op.output)}
    if types == {"int8"} or isinstance(op, Requantize):
        return
    if len(types) > 1:
        raise UnsupportedLayer(f"{op.name}: {type(op).__name__} of {' and '.join(sorted(types))}")
    if not isinstance(op, _ON_INT16):
        raise UnsupportedLayer(f"{op.name}: there is no {type(op).__name__} on int16")


def check_operand(op: Add | Mul, right: Tensor) -> None:
    """The constant operand: int8 with one scale."""
    data = right.data
    require(data is not None and data.shape == right.shape, op.name, f"{right.name} shape")
    if right.dtype != "int8" or len(right.scales) != 1:
        raise UnsupportedLayer(f"{op.name}: {right.name} must be int8 with one scale")
    _check_scale(right, op.name)


def check_constants(
    graph: Graph, op: Conv2D | DepthwiseConv2D | FullyConnected, channels: int, axis: int
) -> None:
    """Weights int8 or int4, symmetric, with one scale or one per channel; bias int32."""
    weights, bias = graph.tensors[op.weights], graph.tensors[op.bias]
    for tensor, dtypes in ((weights, ("int8", "int4")), (bias, ("int32",))):
        data = tensor.data
        require(data is not None, op.name, f"{tensor.name} has no data")
        if tensor.dtype not in dtypes or (data is not None and data.dtype != tensor.item):
            raise UnsupportedLayer(f"{op.name}: {tensor.name} is {tensor.dtype}")
        require(data is not None and data.shape == tensor.shape, op.name, f"{tensor.name} shape")
        require(all(math.isfinite(s) and s > 0 for s in tensor.scales), op.name, "scales")
    require(min(weights.shape, default=0) >= 1, op.name, f"weights of shape {weights.shape}")
    if weights.dtype == "int4" and weights.data is not None:
        lowest, highest = int(weights.data.min()), int(weights.data.max())
        in_range = lowest >= INT4_MIN and highest <= INT4_MAX
        require(in_range, op.name, f"int4 weights of {lowest} .. {highest}")
    require(weights.shape[axis : axis + 1] == (channels,), op.name, "weights' shape")
    require(bias.shape == (channels,), op.name, f"bias of shape {bias.shape}")
    if weights.zero_point != 0 or bias.zero_point != 0:
        raise UnsupportedLayer(f"{op.name}: weights must be symmetric (zero point 0)")
    if len(weights.scales) != 1 and (len(weights.scales) != channels or weights.axis != axis):
        allowed = f"one scale, or {channels} along axis {axis}"
        raise UnsupportedLayer(f"{op.name}: weights have {len(weights.scales)} scales: {allowed}")
    accumulator_offset(graph, op)


def _check_scale(tensor: Tensor, name: str) -> None:
    require(math.isfinite(tensor.scale) and tensor.scale > 0, name, f"scale {tensor.scale}")
    require(-128 <= tensor.zero_point <= 127, name, f"zero point {tensor.zero_point}")
