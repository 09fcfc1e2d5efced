"""Capture of convolutions, Linear and batch-norm."""

from typing import Any

import numpy as np
import torch
from torch import fx, nn

from compress.errors import UnsupportedLayer
from compress.frontend.layers import LayerKind
from compress.frontend.layout import own_order
from compress.frontend.reader import Reader, array, label
from compress.frontend.trace import shape_of
from compress.ops import Padding

Pair = tuple[int, int]


def pair(value: int | tuple[int, ...] | list[int], rank: int, neutral: int = 1) -> Pair:
    """(height, width) of a window's property for tensors of this rank; a series has height 1.

    `neutral` is the property of that height.
    """
    values = (value,) if isinstance(value, int) else tuple(value)
    if rank == 3:
        return neutral, values[0]
    return (values[0], values[0]) if len(values) == 1 else (values[0], values[1])


def convolution(reader: Reader, node: fx.Node, x: fx.Node, module: nn.Conv2d | nn.Conv1d) -> None:
    """Conv2d, and Conv1d as one of height 1."""
    name, rank = label(node), len(shape_of(node))
    if module.padding_mode != "zeros":
        raise UnsupportedLayer(f"{name}: padding_mode {module.padding_mode!r}; use zeros")
    depthwise = 1 < module.groups == module.in_channels
    weight = array(module.weight)  # (Cout, Cin / groups, kh, kw) or (Cout, Cin / groups, k)
    weight = weight if rank == 4 else weight[:, :, np.newaxis]
    kind: LayerKind = "depthwise" if depthwise else "conv"
    reader.emit(
        node,
        kind,
        [reader.view(x, node)],
        weight=weight.transpose(1, 2, 3, 0) if depthwise else weight.transpose(0, 2, 3, 1),
        bias=None if module.bias is None else array(module.bias),
        groups=1 if depthwise else module.groups,
        stride=pair(module.stride, rank),
        dilation=pair(module.dilation, rank),
        filter=pair(module.kernel_size, rank),
        padding=_padding(module, rank),
    )


def _padding(module: nn.Conv2d | nn.Conv1d, rank: int) -> Padding:
    """The explicit padding of a convolution; for 'same' the odd element is last, as in torch."""
    if module.padding == "valid":
        return Padding()
    if module.padding == "same":
        dilation, window = pair(module.dilation, rank), pair(module.kernel_size, rank)
        totals = [d * (k - 1) for d, k in zip(dilation, window, strict=True)]
        (top, left) = (total // 2 for total in totals)
        return Padding(top, totals[0] - top, left, totals[1] - left)
    height, width = pair(module.padding, rank, 0)  # type: ignore[arg-type]
    return Padding(height, height, width, width)


def linear(reader: Reader, node: fx.Node, x: fx.Node, module: nn.Linear) -> None:
    """Linear on vectors; its columns follow the order in which a flattened map lies in memory."""
    if len(shape_of(node)) != 2:
        raise UnsupportedLayer(f"{label(node)}: Linear takes (N, features); flatten first")
    source, weight = reader.view(x, node), array(module.weight)
    moved = not np.array_equal(source.order, own_order(source.shape))
    reader.emit(
        node,
        "linear",
        [source],
        any_order=True,
        weight=np.ascontiguousarray(weight[:, source.order]) if moved else weight,
        bias=None if module.bias is None else array(module.bias),
        order=source.order if moved else None,
    )


def computed_weight(reader: Reader, node: fx.Node, *args: Any, **kwargs: Any) -> None:
    """A convolution or Linear called as a function, which `decompose` could not make a layer of."""
    raise UnsupportedLayer(
        f"{label(node)}: its weight and bias must be parameters of the network as they are, and "
        "its other arguments numbers; use a layer of torch.nn"
    )


def batch_norm(
    reader: Reader, node: fx.Node, x: fx.Node, module: nn.BatchNorm2d | nn.BatchNorm1d
) -> None:
    """Batch-norm with its running statistics, as scale and shift per channel."""
    if module.running_mean is None or module.running_var is None:
        raise UnsupportedLayer(f"{label(node)}: batch-norm without running statistics")
    scale = 1.0 / torch.sqrt(module.running_var + module.eps)
    if module.affine:
        scale = scale * module.weight
    shift = -module.running_mean * scale + (module.bias if module.affine else 0.0)
    source, weight, bias = reader.view(x, node), array(scale), array(shift)
    order = source.order if len(source.shape) == 2 else None
    if order is not None:
        weight, bias = weight[order], bias[order]
    reader.emit(
        node, "batch_norm", [source], keeps_order=True, weight=weight, bias=bias, order=order
    )
