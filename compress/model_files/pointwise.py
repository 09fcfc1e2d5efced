"""Operations element by element: activations, and arithmetic of two values."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from compress.errors import UnsupportedLayer
from compress.model_files.network_builder import NetworkBuilder
from compress.model_files.values import Constant, Value

# Modules without options, and functions that have no module, by the name that ONNX uses.
PLAIN_MODULES: Mapping[str, Callable[[], nn.Module]] = {
    "HardSwish": nn.Hardswish,
    "Mish": nn.Mish,
    "Relu": nn.ReLU,
    "Sigmoid": nn.Sigmoid,
    "Softplus": nn.Softplus,
    "Softsign": nn.Softsign,
    "Tanh": nn.Tanh,
}
PLAIN_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "Abs": torch.abs,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Log": torch.log,
    "Neg": operator.neg,
    "Reciprocal": torch.reciprocal,
    "Sin": torch.sin,
    "Cos": torch.cos,
    "Sqrt": torch.sqrt,
}
BINARY: Mapping[str, Callable[..., Any]] = {
    "Add": operator.add,
    "Div": operator.truediv,
    "Greater": torch.gt,
    "Less": torch.lt,
    "Max": torch.maximum,
    "Min": torch.minimum,
    "Mul": operator.mul,
    "Pow": torch.pow,
    "Sub": operator.sub,
}
_OF_TENSORS = ("Max", "Min")


def applied(b: NetworkBuilder, x: Value | Constant, module: nn.Module) -> Value:
    """A module that works element by element."""
    value = _value(b, x)
    return Value(b.module(module, value.node), value.axes)


def called(b: NetworkBuilder, x: Value | Constant, function: Callable[..., Any]) -> Value:
    """A function that works element by element."""
    value = _value(b, x)
    return Value(b.call(function, value.node), value.axes)


def clipped(b: NetworkBuilder, x: Value | Constant, low: float | None, high: float | None) -> Value:
    """min(max(x, low), high), each limit if there is one."""
    if low is None and high is None:
        return _value(b, x)
    if low == 0 and high is None:
        return applied(b, x, nn.ReLU())
    if low == 0 and high == 6:
        return applied(b, x, nn.ReLU6())
    if low is not None and high is not None and low < high:
        return applied(b, x, nn.Hardtanh(low, high))
    value = _value(b, x)
    return Value(b.call(torch.clamp, value.node, low, high), value.axes)


def hard_sigmoid(b: NetworkBuilder, x: Value | Constant, alpha: float, beta: float) -> Value:
    """min(max(alpha * x + beta, 0), 1)."""
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return applied(b, x, nn.Hardsigmoid())
    value = _value(b, x)
    scaled = b.call(operator.add, b.call(operator.mul, value.node, alpha), beta)
    return Value(b.call(torch.clamp, scaled, 0.0, 1.0), value.axes)


def softmax_along(
    b: NetworkBuilder, x: Value | Constant, axis: int, kind: type[nn.Module]
) -> Value:
    """Softmax or LogSoftmax over an axis of the file's tensor."""
    value = _value(b, x)
    return Value(b.module(kind(value.axes[axis % value.rank]), value.node), value.axes)


def prelu(b: NetworkBuilder, x: Value | Constant, slope: Constant) -> Value:
    """max(x, 0) + slope * min(x, 0) with one slope, or one for each channel of the network."""
    value, slopes = _value(b, x), slope.fixed(b.label)
    lifted = slopes.reshape(*(1,) * (value.rank - slopes.ndim), *slopes.shape)
    by_node = lifted.transpose([value.axes.index(axis) for axis in range(value.rank)])
    if by_node.size not in (1, by_node.shape[1]):
        raise UnsupportedLayer(
            f"{b.label}: slopes of shape {slopes.shape}; allowed are one, or one for each channel"
        )
    module = nn.PReLU(by_node.size)
    module.weight = nn.Parameter(torch.from_numpy(np.array(by_node.ravel(), np.float32)))
    return Value(b.module(module, value.node), value.axes)


def binary(b: NetworkBuilder, kind: str, x: Value | Constant, y: Value | Constant) -> Value:
    """Arithmetic of two values, or of a value and a constant, with broadcasting."""
    function = BINARY[kind]
    if isinstance(x, Value) and isinstance(y, Value):
        if x.rank != y.rank:
            left, right = b.node(x), b.node(y)
            return b.plain(b.call(function, left, right))
        order = tuple(x.axes.index(axis) for axis in range(x.rank))
        same = y.transposed(order)
        return Value(b.call(function, x.node, b.node(same)), x.axes)
    if isinstance(x, Value) and isinstance(y, Constant):
        return Value(b.call(function, x.node, _operand(b, y, x, kind)), x.axes)
    if isinstance(y, Value) and isinstance(x, Constant):
        return Value(b.call(function, _operand(b, x, y, kind), y.node), y.axes)
    raise UnsupportedLayer(f"{b.label}: computes with constants alone")


def chosen_by(
    b: NetworkBuilder, condition: Value, x: Value | Constant, y: Value | Constant
) -> Value:
    """x where the condition holds, else y."""
    order = tuple(condition.axes.index(axis) for axis in range(condition.rank))
    parts = [
        b.node(part.transposed(order)) if isinstance(part, Value) and part.rank == condition.rank
        else _operand(b, part, condition, "Where") if isinstance(part, Constant) else b.node(part)
        for part in (x, y)
    ]  # fmt: skip
    return Value(b.call(torch.where, condition.node, *parts), condition.axes)


def product_of_matrices(b: NetworkBuilder, x: Value | Constant, y: Value | Constant) -> Value:
    """The product of two values along their last two axes."""
    return b.plain(b.call(torch.matmul, b.node(x), b.node(y)))


def _operand(b: NetworkBuilder, constant: Constant, other: Value, kind: str) -> Any:
    """The constant as a number, or as a parameter of the network in the axes of `other`."""
    values = constant.fixed(b.label)
    if values.dtype.kind != "f":
        values = values.astype(np.float32)
    if values.ndim > other.rank:
        if any(extent != 1 for extent in values.shape[: values.ndim - other.rank]):
            raise UnsupportedLayer(
                f"{b.label}: a constant of shape {values.shape} has more axes than the value that "
                "it meets"
            )
        values = values.reshape(values.shape[values.ndim - other.rank :])
    if values.size == 1 and kind not in _OF_TENSORS:
        return float(values.ravel()[0])
    lifted = values.reshape(*(1,) * (other.rank - values.ndim), *values.shape)
    by_node = lifted.transpose([other.axes.index(axis) for axis in range(other.rank)])
    if by_node.shape[0] != 1:
        raise UnsupportedLayer(f"{b.label}: a constant that differs from sample to sample")
    return b.parameter(by_node, constant.name)


def _value(b: NetworkBuilder, x: Value | Constant) -> Value:
    if isinstance(x, Constant):
        raise UnsupportedLayer(f"{b.label}: computes with a constant alone")
    return x
