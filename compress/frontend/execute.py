"""Run single float `Layer`s in torch: inputs and outputs (N, C, H, W) or (N, K).

What works layer by layer (`compress.quantization.refine`) needs each layer's inputs in two versions
at once, which a whole network does not give.
"""

import numpy as np
import torch
from torch import Tensor as Values
from torch.nn import functional

from compress.frontend.layers import Layer, LayerKind
from compress.ops import Activation
from compress.types import Array

# Where torch has the axes of a weight: (outputs, inputs per group, height, width).
_TO_TORCH: dict[LayerKind, tuple[int, ...]] = {"conv": (0, 3, 1, 2), "depthwise": (3, 0, 1, 2)}


def to_torch(weight: Array, kind: LayerKind) -> Values:
    """A layer's weight in torch's order of axes."""
    axes = _TO_TORCH.get(kind, (0, 1))
    return torch.from_numpy(np.ascontiguousarray(weight.transpose(axes), np.float32))


def from_torch(weight: Values, kind: LayerKind) -> Array:
    """Inverse of `to_torch`."""
    axes = np.argsort(_TO_TORCH.get(kind, (0, 1)))
    return np.ascontiguousarray(weight.numpy().transpose(axes))


def weighted_sum(layer: Layer, x: Values, weight: Array, bias: Array) -> Values:
    """A conv, depthwise or linear layer's output before its activation, with these constants."""
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
    p = layer.padding
    return functional.pad(x, (p.left, p.right, p.top, p.bottom), value=value)


def unweighted(layer: Layer, inputs: tuple[Values, ...]) -> Values:
    """The output of a layer without constants, activation included."""
    x = inputs[0]
    match layer.kind:
        case "add":
            return activated(x + inputs[1], layer.activation)
        case "activation":
            return activated(x, layer.activation)
        case "average_pool":
            # In-bounds elements only: the mean of what is there.
            there = functional.avg_pool2d(
                padded(layer, torch.ones_like(x[:1, :1])), layer.filter, layer.stride
            )
            return functional.avg_pool2d(padded(layer, x), layer.filter, layer.stride) / there
        case "max_pool":
            lowest = padded(layer, x, -torch.inf)
            return functional.max_pool2d(lowest, layer.filter, layer.stride)
        case "reshape":
            return (x.permute(0, 2, 3, 1) if x.dim() == 4 else x).reshape(len(x), *layer.shape[1:])
        case "softmax":
            return torch.softmax(x, -1)
        case _:
            raise TypeError(f"{layer.name}: {layer.kind} has constants or was to be fused")


def activated(x: Values, activation: Activation) -> Values:
    """Raises KeyError for activations that no float network of ours has."""
    low, high = {
        Activation.NONE: (-torch.inf, torch.inf),
        Activation.RELU: (0.0, torch.inf),
        Activation.RELU6: (0.0, 6.0),
    }[activation]
    return x if activation is Activation.NONE else x.clamp(low, high)


def windows(
    layer: Layer, x: Values, count: int, generator: torch.Generator
) -> tuple[Values, Values]:
    """What the weights of a conv or depthwise layer see at `count` random positions a sample.

    Returns rows (N * count, C * taps), channels first, and the positions (N, count) among the
    output's H' * W'.
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
