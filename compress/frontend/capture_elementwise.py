"""Capture of activations and of softmax."""

import math
from typing import Any

from torch import Tensor, fx, nn

from compress.errors import UnsupportedLayer
from compress.frontend.layers import Pointwise
from compress.frontend.reader import Reader, array, label
from compress.ops import Activation, Function

_ACTIVATIONS = {
    (0.0, math.inf): Activation.RELU,
    (0.0, 6.0): Activation.RELU6,
}


def relu(reader: Reader, node: fx.Node, x: fx.Node, inplace: bool = False) -> None:
    """max(x, 0)."""
    clamp(reader, node, x, 0.0)


def relu6(reader: Reader, node: fx.Node, x: fx.Node, inplace: bool = False) -> None:
    """min(max(x, 0), 6)."""
    clamp(reader, node, x, 0.0, 6.0)


def hardtanh(
    reader: Reader,
    node: fx.Node,
    x: fx.Node,
    min_val: float = -1.0,
    max_val: float = 1.0,
    inplace: bool = False,
) -> None:
    """min(max(x, min_val), max_val)."""
    clamp(reader, node, x, min_val, max_val)


def clamp(reader: Reader, node: fx.Node, x: fx.Node, min: Any = None, max: Any = None) -> None:
    """ReLU, ReLU6, or a range that the integer grid of the output has as its ends; or a table."""
    if isinstance(min, Tensor | fx.Node) or isinstance(max, Tensor | fx.Node):
        raise UnsupportedLayer(f"{label(node)}: limits that are tensors; use numbers")
    limits = (-math.inf if min is None else float(min), math.inf if max is None else float(max))
    source = [reader.view(x, node)]
    if limits in _ACTIVATIONS:
        reader.emit(node, "activation", source, keeps_order=True, activation=_ACTIVATIONS[limits])
        return
    if limits == (-math.inf, math.inf):
        reader.look(node, x)
        return
    if not -math.inf < limits[0] <= 0.0 <= limits[1] < math.inf or limits[0] >= limits[1]:
        table(reader, node, x, "clamp", *limits)
        return
    reader.emit(node, "clip", source, keeps_order=True, limits=limits)


def sigmoid(reader: Reader, node: fx.Node, x: fx.Node) -> None:
    """1 / (1 + exp(-x))."""
    _lookup(reader, node, x, Function.LOGISTIC)


def tanh(reader: Reader, node: fx.Node, x: fx.Node) -> None:
    """The hyperbolic tangent."""
    _lookup(reader, node, x, Function.TANH)


def hardswish(reader: Reader, node: fx.Node, x: fx.Node, inplace: bool = False) -> None:
    """x * relu6(x + 3) / 6."""
    _lookup(reader, node, x, Function.HARD_SWISH)


def leaky(
    reader: Reader,
    node: fx.Node,
    x: fx.Node,
    negative_slope: float = 0.01,
    inplace: bool = False,
) -> None:
    """max(x, 0) + negative_slope * min(x, 0)."""
    if negative_slope == 0.0:
        relu(reader, node, x)
        return
    if negative_slope < 0.0:
        table(reader, node, x, "leaky_relu", negative_slope)
        return
    _lookup(reader, node, x, Function.LEAKY_RELU, alpha=float(negative_slope))


def table(reader: Reader, node: fx.Node, x: fx.Node, name: str, *parameters: float) -> None:
    """A function of `compress.frontend.pointwise`."""
    numbers = tuple(map(float, parameters))
    reader.emit(
        node, "table", [reader.view(x, node)], keeps_order=True, pointwise=Pointwise(name, numbers)
    )


def prelu(reader: Reader, node: fx.Node, x: fx.Node, module: nn.PReLU) -> None:
    """max(x, 0) + weight * min(x, 0), with one weight for all channels or one for each."""
    slopes, source = array(module.weight), reader.view(x, node)
    if slopes.size == 1:
        table(reader, node, x, "leaky_relu", slopes.item())
        return
    order = source.order if len(source.shape) == 2 else None
    reader.emit(
        node, "prelu", [source], keeps_order=order is not None,
        weight=slopes if order is None else slopes[order], order=order,
    )  # fmt: skip


def _lookup(
    reader: Reader, node: fx.Node, x: fx.Node, function: Function, alpha: float = 0.0
) -> None:
    source = [reader.view(x, node)]
    reader.emit(node, "lookup", source, keeps_order=True, function=function, alpha=alpha)


def softmax(
    reader: Reader,
    node: fx.Node,
    x: fx.Node,
    dim: int | None = None,
    _stacklevel: int = 3,
    dtype: Any = None,
) -> None:
    """Softmax over channels or classes, axis 1 in torch, or over the last axis."""
    source = reader.view(x, node)
    rank = len(source.shape)
    axis = (0 if rank == 3 else 1) if dim is None else dim % rank  # torch's rule for None
    if axis not in (1, rank - 1):
        found = axis if dim is None else dim
        raise UnsupportedLayer(
            f"{label(node)}: softmax over axis {found}; allowed are axis 1 and the last one"
        )
    reader.emit(node, "softmax", [source], in_rows=axis != 1)
