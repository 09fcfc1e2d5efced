"""Fusion of float layers: padding and batch-norm are folded, activations fused.

Each rule merges two consecutive layers if no other layer reads the value between them. The merged
layer keeps the output name of the second one, so that ranges recorded for that value stay valid.
"""

from dataclasses import replace

import numpy as np

from compress.errors import UnsupportedLayer
from compress.frontend.layers import Layer
from compress.ops import Activation, Padding

_WEIGHTED = ("conv", "depthwise", "linear")
_FUSES_ACTIVATION = (*_WEIGHTED, "add")


def fuse(layers: tuple[Layer, ...], output: str) -> tuple[Layer, ...]:
    """Layers of the same function without `batch_norm` and `pad`, and with activations fused.

    An activation that cannot be fused stays a layer. `output` is the value that the network
    returns. Raises UnsupportedLayer for a batch-norm that does not follow a convolution or Linear,
    and for padding that does not precede a convolution.
    """
    fused: list[Layer] = []
    readers = _readers(layers, output)
    for layer in layers:
        before = next((made for made in fused if made.output == layer.inputs[0]), None)
        sole = before is not None and readers[before.output] == 1
        match layer.kind:
            case "batch_norm":
                if before is None or not sole or before.kind not in _WEIGHTED or _active(before):
                    raise UnsupportedLayer(
                        f"{layer.name}: batch-norm must directly follow a Conv2d or Linear "
                        "that nothing else reads"
                    )
                _put(fused, before, _fold_batch_norm(before, layer))
            case "activation" if (
                before is not None
                and sole
                and before.kind in _FUSES_ACTIVATION
                and not _active(before)
            ):
                joined = replace(before, activation=layer.activation, output=layer.output)
                _put(fused, before, joined)
            case "conv" | "depthwise" if before is not None and before.kind == "pad":
                if not sole:
                    raise UnsupportedLayer(f"{before.name}: padding read by several layers")
                padding = _sum(before.padding, layer.padding)
                joined = replace(layer, inputs=before.inputs, padding=padding)
                fused.remove(before)
                fused.append(joined)
            case _:
                fused.append(layer)
    for layer in fused:
        if layer.kind == "pad":
            raise UnsupportedLayer(f"{layer.name}: padding must directly precede a Conv2d")
    return tuple(fused)


def _readers(layers: tuple[Layer, ...], output: str) -> dict[str, int]:
    """The number of readers of each value, the network's result included."""
    counts = {layer.output: 0 for layer in layers}
    for value in [value for layer in layers for value in layer.inputs] + [output]:
        counts[value] = counts.get(value, 0) + 1
    return counts


def _active(layer: Layer) -> bool:
    """True if an activation is fused into the layer."""
    return layer.activation is not Activation.NONE


def _put(layers: list[Layer], old: Layer, new: Layer) -> None:
    layers[layers.index(old)] = new


def _sum(a: Padding, b: Padding) -> Padding:
    return Padding(a.top + b.top, a.bottom + b.bottom, a.left + b.left, a.right + b.right)


def _fold_batch_norm(layer: Layer, norm: Layer) -> Layer:
    """`layer` with weight * scale and bias * scale + shift, per output channel.

    See arXiv:1712.05877, eq. 14.
    """
    if layer.weight is None or norm.weight is None or norm.bias is None:
        raise TypeError(f"{layer.name}: not a weighted layer followed by a batch-norm")
    scale, shift = norm.weight, norm.bias
    along = scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
    weight = layer.weight * (scale if layer.kind == "depthwise" else along)
    bias = shift if layer.bias is None else layer.bias * scale + shift
    return replace(
        layer, weight=weight.astype(np.float32), bias=bias.astype(np.float32), output=norm.output
    )
