"""Fusion of float layers: padding, batch-norm and constants are folded, functions joined.

Each rule merges two consecutive layers if no other layer reads the value between them. The merged
layer keeps the output name of the second one, so that ranges recorded for that value stay valid.
"""

from dataclasses import replace

import numpy as np

from compress.frontend.layers import Layer
from compress.frontend.pointwise_chains import with_joined_chains
from compress.ops import Activation, Padding
from compress.types import Array

_WEIGHTED = ("conv", "depthwise", "transposed", "linear")
_SCALES = ("batch_norm", "affine")
_FUSES_ACTIVATION = (*_WEIGHTED, "affine", "add", "mul")


def fuse(layers: tuple[Layer, ...], outputs: tuple[str, ...]) -> tuple[Layer, ...]:
    """Layers of the same function without `batch_norm`, and with activations and limits fused.

    A batch_norm or affine layer is folded into the convolution, Linear or affine layer before it;
    elsewhere it is an affine layer of its own. An activation, limits or padding that cannot be
    fused stay layers. Chains of functions of one value become tables
    (`compress.frontend.pointwise_chains`). A recurrent layer of which only the last step is read
    writes that alone. `outputs` are the values that the network returns.
    """
    fused: list[Layer] = []
    readers = _readers(layers, outputs)
    renamed: dict[str, str] = {}
    for layer in layers:
        if renamed:
            layer = replace(layer, inputs=tuple(renamed.get(x, x) for x in layer.inputs))
        before = next((made for made in fused if made.output == layer.inputs[0]), None)
        free = before is not None and readers[before.output] == 1 and not _active(before)
        match layer.kind:
            case "batch_norm" | "affine" if (
                before is not None and free and before.kind in (*_WEIGHTED, "affine")
            ):
                _put(fused, before, _fold(before, layer))
            case "batch_norm":
                fused.append(replace(layer, kind="affine", norms=(layer.name,)))
            case "activation" | "clip" if (
                before is not None and free and before.kind in _FUSES_ACTIVATION
            ):
                joined = replace(
                    before, activation=layer.activation, limits=layer.limits, output=layer.output
                )
                _put(fused, before, joined)
            case "conv" | "depthwise" if (
                before is not None
                and free
                and before.kind == "pad"
                and before.value == 0.0
                and not (before.before or before.behind)
            ):
                padding = _sum(before.padding, layer.padding)
                fused.remove(before)
                fused.append(
                    replace(layer, inputs=before.inputs, padding=padding, node=before.node)
                )
            case "slice" if before is not None and free and _takes_last_step(layer, before):
                _put(fused, before, replace(before, output=layer.output, shape=layer.shape))
            case "reshape" if (
                before is not None
                and free
                and before.kind == "recurrent"
                and layer.shape == (1, before.shape[-1])
                and layer.output not in outputs
            ):
                # The value keeps its name, which is that of a traced operation.
                _put(fused, before, replace(before, shape=layer.shape))
                renamed[layer.output] = before.output
            case _:
                fused.append(layer)
    norms = {layer.name for layer in layers if layer.kind == "batch_norm"}
    return with_joined_chains(fused, outputs, norms)


def _readers(layers: tuple[Layer, ...], outputs: tuple[str, ...]) -> dict[str, int]:
    """The number of readers of each value, the network's results included."""
    counts = {layer.output: 0 for layer in layers}
    for value in [value for layer in layers for value in layer.inputs] + [*outputs]:
        counts[value] = counts.get(value, 0) + 1
    return counts


def _takes_last_step(layer: Layer, before: Layer) -> bool:
    """True for the slice of the last step of a recurrent layer's states (1, 1, L, U)."""
    if before.kind != "recurrent" or len(before.shape) != 4:
        return False
    _, _, steps, units = before.shape
    return layer.shape == (1, 1, 1, units) and layer.begin == (0, 0, steps - 1, 0)


def _active(layer: Layer) -> bool:
    """True if an activation or limits are fused into the layer."""
    return layer.activation is not Activation.NONE or layer.limits is not None


def _put(layers: list[Layer], old: Layer, new: Layer) -> None:
    layers[layers.index(old)] = new


def _sum(a: Padding, b: Padding) -> Padding:
    return Padding(a.top + b.top, a.bottom + b.bottom, a.left + b.left, a.right + b.right)


def _fold(layer: Layer, norm: Layer) -> Layer:
    """`layer` with weight * scale and bias * scale + shift, per output channel.

    See arXiv:1712.05877, eq. 14.
    """
    if layer.weight is None or norm.weight is None or norm.bias is None:
        raise TypeError(f"{layer.name}: not a layer with weights followed by a batch-norm")
    scale, shift = norm.weight, norm.bias
    bias = shift if layer.bias is None else layer.bias * scale + shift
    return replace(
        layer,
        weight=(layer.weight * _along(scale, layer)).astype(np.float32),
        bias=bias.astype(np.float32),
        output=norm.output,
        norms=(*layer.norms, norm.name),
    )


def _along(scale: Array, layer: Layer) -> Array:
    """`scale` (channels,) shaped to broadcast over the output channels of the layer's weight."""
    if layer.weight is None or layer.kind in ("depthwise", "affine"):
        return scale
    return scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
