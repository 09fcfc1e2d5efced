"""Execution of single float `Layer`s in torch; inputs and outputs are (N, C, H, W) or (N, K).

Bias correction and AdaRound (`compress.quantization.refine`) work layer by layer: they need the
inputs of each layer in two versions, float and quantized.
"""

import numpy as np
import torch
from torch import Tensor as Values
from torch.nn import functional

from compress.frontend.layers import Layer, LayerKind
from compress.ops import Activation
from compress.types import Array

# Axes of a layer's weight in torch's order: (outputs, inputs per group, height, width).
_TO_TORCH: dict[LayerKind, tuple[int, ...]] = {"conv": (0, 3, 1, 2), "depthwise": (3, 0, 1, 2)}


def to_torch(weight: Array, kind: LayerKind) -> Values:
    """A layer's weight with its axes in torch's order."""
    axes = _TO_TORCH.get(kind, (0, 1))
    return torch.from_numpy(np.ascontiguousarray(weight.transpose(axes), np.float32))


def from_torch(weight: Values, kind: LayerKind) -> Array:
    """A weight of torch with its axes in the order of `Layer.weight`; inverse of `to_torch`."""
    axes = np.argsort(_TO_TORCH.get(kind, (0, 1)))
    return np.ascontiguousarray(weight.numpy().transpose(axes))


def weighted_sum(layer: Layer, x: Values, weight: Array, bias: Array) -> Values:
    """The output of a conv, depthwise or linear layer with these constants, before activation."""
    shift = torch.from_numpy(bias.astype(np.float32))
    if layer.kind == "linear":
        return functional.linear(x, to_torch(weight, "linear"), shift)
    groups = x.shape[1] if layer.kind == "depthwise" else 1
    return functional.conv2d(
        padded(layer, x),
        to_torch(weight, layer.kind),
        shift,
        layer.stride,
        dilation=layer.dilation,
        groups=groups,
    )


def padded(layer: Layer, x: Values, value: float = 0.0) -> Values:
    """`x` (N, C, H, W) with the explicit padding of `layer`, filled with `value`."""
    p = layer.padding
    return functional.pad(x, (p.left, p.right, p.top, p.bottom), value=value)


def unweighted(layer: Layer, inputs: tuple[Values, ...]) -> Values:
    """The output of a layer without constants, after its activation."""
    x = inputs[0]
    match layer.kind:
        case "add":
            return activated(x + inputs[1], layer.activation)
        case "activation":
            return activated(x, layer.activation)
        case "average_pool":
            # The mean is over the elements inside the map only: divide by their share.
            inside = functional.avg_pool2d(
                padded(layer, torch.ones_like(x[:1, :1])), layer.filter, layer.stride
            )
            return functional.avg_pool2d(padded(layer, x), layer.filter, layer.stride) / inside
        case "max_pool":
            lowest = padded(layer, x, -torch.inf)
            return functional.max_pool2d(lowest, layer.filter, layer.stride)
        case "reshape":
            return (x.permute(0, 2, 3, 1) if x.dim() == 4 else x).reshape(len(x), *layer.shape[1:])
        case "softmax":
            return torch.softmax(x, -1)
        case _:
            raise TypeError(f"{layer.name}: {layer.kind} has constants or should have been fused")


def activated(x: Values, activation: Activation) -> Values:
    """`x` after the activation. Raises KeyError for one that float layers cannot have."""
    low, high = {
        Activation.NONE: (-torch.inf, torch.inf),
        Activation.RELU: (0.0, torch.inf),
        Activation.RELU6: (0.0, 6.0),
    }[activation]
    return x if activation is Activation.NONE else x.clamp(low, high)


def windows(
    layer: Layer, x: Values, count: int, generator: torch.Generator
) -> tuple[Values, Values]:
    """Input windows (im2col rows) of a conv or depthwise layer at `count` positions per sample.

    Returns the rows (N * count, C * taps), channels first, and the random positions (N, count) as
    indices into the output's H' * W' positions.
    """
    height, width = layer.shape[1:3]
    positions = torch.randint(height * width, (len(x), count), generator=generator)
    rows = []
    for sample, chosen in zip(x, positions, strict=True):
        columns = functional.unfold(
            padded(layer, sample[None]), layer.filter, layer.dilation, 0, layer.stride
        )
        rows.append(columns[0, :, chosen].T)
    return torch.cat(rows), positions
