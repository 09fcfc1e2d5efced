"""Cross-layer equalization: scale channels so that their weight ranges match between layers.

Dividing output channel i of one layer by s_i > 0 and multiplying the next layer's weights for it by
s_i leaves the network's function as it is, since ReLU, pools and reshapes commute with a positive
factor (arXiv:1906.04721, section 4.1; arXiv:2106.08295, section 3.2).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from compress.frontend.capture import capture, trace_module
from compress.frontend.fuse import fuse
from compress.frontend.layers import Layer
from compress.ops import Activation
from compress.quantization.grids import keeps_scale
from compress.tracing.normalize import copied
from compress.types import Array, InputShape

_EQUALIZED = ("conv", "depthwise", "linear")
# Kinds of layer that leave each channel where it is, and commute with a positive factor.
_BY_CHANNEL = ("average_pool", "max_pool", "pad", "reshape", "resize_nearest", "resize_bilinear")
# The largest factor, and its inverse the smallest. Without a limit, a nearly dead channel would be
# scaled up until its bias alone sets the range of the layer's activations.
_LIMIT = 256.0
# Sweeps over all pairs, which end early once no factor changes by more than this (natural log).
_ROUNDS = 40
_SETTLED = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """Two consecutive weighted layers between which the channels can be scaled.

    `second` is the only reader of `first`. `norm` names the batch-norm that follows `first`.
    """

    first: Layer
    second: Layer
    norm: str | None


def equalize(module: nn.Module, input_shape: InputShape) -> nn.Module:
    """A copy of `module` with the same function and equalized weight ranges per channel.

    For each pair of consecutive weighted layers, s_i = sqrt(r1_i / r2_i) makes both ranges equal
    (equation 11 of arXiv:1906.04721): r1_i is the largest weight magnitude of the first layer's
    output channel i, r2_i that of the second layer's weights for it. The pairs are swept until the
    factors converge, as the layers of a chain belong to two pairs. Where a batch-norm follows the
    first layer, its scale and shift are divided. Not equalized: layers with ReLU6 or a second
    reader in between, layers and batch-norms that run twice, layers that read channels in groups,
    layers whose batch-norm has no scale, and layers followed by two batch-norms or by constants.
    Raises UnsupportedLayer.
    """
    equalized = copied(module)
    traced = trace_module(equalized, input_shape)
    pairs = _pairs(traced)
    for pair, factors in zip(pairs, _factors(pairs), strict=True):
        _divide(traced, pair, torch.from_numpy(factors.astype(np.float32)))
    return equalized


def _pairs(traced: fx.GraphModule) -> list[_Pair]:
    """All pairs of layers to equalize, in the order of execution."""
    captured, _, outputs = capture(traced)
    fused = fuse(captured, outputs)
    readers: dict[str, list[Layer]] = {output: [] for output in outputs}
    for layer in fused:
        for value in layer.inputs:
            readers.setdefault(value, []).append(layer)
    kinds = {layer.name: layer.kind for layer in captured}
    shared = {
        name for name, count in Counter(layer.name for layer in captured).items() if count > 1
    }
    pairs = []
    for first in fused:
        second = _reader(first, readers, outputs) if first.kind in _EQUALIZED else None
        if second is None or second.groups > 1:
            continue
        if not shared.isdisjoint((first.name, second.name, *first.norms)):
            continue
        if any(kinds[name] != "batch_norm" for name in first.norms) or len(first.norms) > 1:
            continue
        norm = first.norms[0] if first.norms else None
        scalable: Any = None if norm is None else traced.get_submodule(norm)
        if scalable is None or scalable.affine:
            pairs.append(_Pair(first, second, norm))
    return pairs


def _reader(first: Layer, readers: dict[str, list[Layer]], outputs: Sequence[str]) -> Layer | None:
    """The weighted layer that is the only reader of `first`, or None.

    In between may be layers that commute with a positive factor.
    """
    layer = first
    commuting = (Activation.NONE, Activation.RELU)
    while layer.activation in commuting and layer.limits is None and layer.output not in outputs:
        found = readers.get(layer.output, [])
        if len(found) != 1:
            return None
        (layer,) = found
        if layer.kind in _EQUALIZED:
            return layer
        if layer.kind != "activation" and (
            layer.kind not in _BY_CHANNEL
            or not keeps_scale(layer)
            or _changes_channels(layer, first)
        ):
            return None
    return None


def _changes_channels(layer: Layer, first: Layer) -> bool:
    """True if a map's channels behind `layer` are not those that `first` has computed."""
    return len(layer.shape) > 2 and layer.shape[-1] != first.shape[-1]


def _factors(pairs: list[_Pair]) -> list[Array]:
    """The factors s of each pair, float64 (channels,)."""
    # Largest |weight| by output and input channel. Scaling rows and columns of these matrices
    # tracks the ranges without touching the weights.
    magnitudes = {}
    for pair in pairs:
        channels = _channels(pair.first)
        magnitudes[pair.second.name] = _magnitudes(pair.second, channels)
    for pair in pairs:
        if pair.first.name not in magnitudes:
            magnitudes[pair.first.name] = _magnitudes(pair.first, None)
    factors = [np.ones(_channels(pair.first)) for pair in pairs]
    for _ in range(_ROUNDS):
        change = 0.0
        for index, pair in enumerate(pairs):
            written, read = magnitudes[pair.first.name], magnitudes[pair.second.name]
            r1, r2 = written.max(axis=1), read.max(axis=0)
            alive = (r1 > 0) & (r2 > 0)
            wanted = np.sqrt(np.where(alive, r1, 1.0) / np.where(alive, r2, 1.0))
            bounded = np.clip(factors[index] * wanted, 1 / _LIMIT, _LIMIT) / factors[index]
            factors[index] *= bounded
            written /= bounded[:, np.newaxis]
            read *= bounded
            change = max(change, float(np.abs(np.log(bounded)).max()))
        if change < _SETTLED:
            break
    return factors


def _channels(layer: Layer) -> int:
    return layer.shape[-1]


def _magnitudes(layer: Layer, inputs: int | None) -> Array:
    """Largest |weight| by output and input channel, batch-norm folded: float64 (outputs, inputs).

    `inputs` is the number of channels that the layer reads, None to take it from the weight's
    shape. A Linear that reads a flattened map has several weights per input channel. A depthwise
    filter reads one channel; its other entries are 0.
    """
    if layer.weight is None:
        raise TypeError(f"{layer.name}: {layer.kind} has no weights")
    size = np.abs(layer.weight.astype(np.float64))
    match layer.kind:
        case "conv":
            matrix: Array = size.max(axis=(1, 2))
        case "depthwise":
            each = size.max(axis=(0, 1, 2))
            inputs = inputs or len(each)
            matrix = np.zeros((len(each), inputs))
            matrix[np.arange(len(each)), np.arange(len(each)) * inputs // len(each)] = each
        case _:
            matrix = size.reshape(len(size), -1, inputs or size.shape[1]).max(axis=1)
    return matrix


def _divide(traced: fx.GraphModule, pair: _Pair, factors: torch.Tensor) -> None:
    """Divide the first layer (or its batch-norm) by `factors`, multiply the second, in place."""
    first: Any = traced.get_submodule(pair.norm or pair.first.name)
    second: Any = traced.get_submodule(pair.second.name)
    with torch.no_grad():
        first.weight.div_(factors.reshape(-1, *[1] * (first.weight.dim() - 1)))
        if first.bias is not None:
            first.bias.div_(factors)
        match pair.second.kind:
            case "conv":
                second.weight.mul_(factors.reshape(1, -1, *[1] * (second.weight.dim() - 2)))
            case "depthwise":
                repeats = len(second.weight) // len(factors)
                each = factors.repeat_interleave(repeats)
                second.weight.mul_(each.reshape(-1, *[1] * (second.weight.dim() - 1)))
            case _:
                # In memory the channels of a position are next to each other.
                columns = factors.repeat(second.weight.shape[1] // len(factors))
                if pair.second.order is not None:
                    order = torch.from_numpy(pair.second.order)
                    columns = torch.empty_like(columns).index_copy_(0, order, columns)
                second.weight.mul_(columns)
