"""Layers with weights: convolutions, Linear, normalizations.

Weights come as PyTorch has them: (Cout, Cin / groups, ...) and (outputs, inputs).
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from compress.errors import UnsupportedLayer
from compress.model_files.network_builder import NetworkBuilder
from compress.model_files.values import Constant, Extents, Value
from compress.model_files.windows import symmetric, zeros_around
from compress.types import Array

_CONVOLUTIONS: dict[int, type[nn.Conv1d | nn.Conv2d]] = {3: nn.Conv1d, 4: nn.Conv2d}
_TRANSPOSED: dict[int, type[nn.ConvTranspose1d | nn.ConvTranspose2d]] = {
    3: nn.ConvTranspose1d,
    4: nn.ConvTranspose2d,
}
_NORMS: dict[int, type[nn.BatchNorm1d | nn.BatchNorm2d]] = {
    2: nn.BatchNorm1d,
    3: nn.BatchNorm1d,
    4: nn.BatchNorm2d,
}


@dataclass(frozen=True, slots=True)
class Window:
    """How a convolution moves, one number for each axis of the map; `pads` are (before, after)."""

    stride: Extents
    dilation: Extents
    pads: tuple[tuple[int, int], ...]
    groups: int = 1


def convolution_layer(
    b: NetworkBuilder, x: Value | Constant, weight: Array, bias: Array | None, window: Window
) -> Value:
    """A convolution; padding that is not the same on both sides is a ZeroPad before it."""
    node = b.native(x)
    sides = symmetric(window.pads)
    if sides is None:
        node = zeros_around(b, node, window.pads)
        sides = (0,) * len(window.pads)
    outputs, inputs = weight.shape[0], weight.shape[1] * window.groups
    made = _of_rank(b, _CONVOLUTIONS, weight.ndim)(
        inputs, outputs, weight.shape[2:], window.stride, sides, window.dilation, window.groups,
        bias is not None,
    )  # fmt: skip
    return b.of_native(b.module(with_weights(made, weight, bias), node))


def transposed_convolution(
    b: NetworkBuilder,
    x: Value | Constant,
    weight: Array,
    bias: Array | None,
    window: Window,
    output_padding: Extents,
) -> Value:
    """A transposed convolution of `weight` (Cin, Cout / groups, ...).

    Where `pads` are not the same on both sides, the larger ones are cut off by a slice.
    """
    node = b.native(x)
    common = tuple(min(pair) for pair in window.pads)
    made = _of_rank(b, _TRANSPOSED, weight.ndim)(
        weight.shape[0], weight.shape[1] * window.groups, weight.shape[2:], window.stride, common,
        output_padding, window.groups, bias is not None, window.dilation,
    )  # fmt: skip
    node = b.module(with_weights(made, weight, bias), node)
    cuts: list[slice] = [slice(None), slice(None)]
    for (before, after), least, extent in zip(
        window.pads, common, b.node_shape(node)[2:], strict=True
    ):
        cut = slice(before - least, extent - (after - least))
        cuts.append(slice(None) if cut == slice(0, extent) else cut)
    if any(cut != slice(None) for cut in cuts):
        node = b.call(operator.getitem, node, tuple(cuts))
    return b.of_native(node)


def linear_layer(
    b: NetworkBuilder, x: Value | Constant, weight: Array, bias: Array | None
) -> Value:
    """x times `weight` (outputs, inputs), along the last axis of the file's tensor."""
    if isinstance(x, Value) and x.unflattened is not None:
        inner = x.unflattened
        order = np.arange(weight.shape[1]).reshape(b.shape(inner)[1:])
        native = tuple(inner.axes.index(axis) - 1 for axis in range(1, inner.rank))
        weight = weight[:, order.transpose(native).ravel()]
        node = b.call(torch.flatten, inner.node, 1)
    else:
        node = b.node(x)
    made = nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
    return b.plain(b.module(with_weights(made, weight, bias), node))


def biased(b: NetworkBuilder, x: Value, bias: Array) -> bool:
    """Make `bias` that of the Linear that computes x, which nothing else reads.

    False if x is no output of a Linear without a bias, or the bias has another shape.
    """
    module = b.module_of(x.node)
    if not isinstance(module, nn.Linear) or module.bias is not None:
        return False
    if bias.size != module.out_features or bias.shape[-1:] != (module.out_features,):
        return False
    module.bias = _parameter(bias.ravel())
    return True


def batch_norm_layer(
    b: NetworkBuilder,
    x: Value | Constant,
    statistics: tuple[Array, Array, Array, Array],
    eps: float,
    momentum: float,
) -> Value:
    """Batch-norm with `statistics` weight, bias, mean and variance per channel.

    `momentum` is torch's: the share of a batch in the new statistics.
    """
    node = b.native(x)
    weight, bias, mean, variance = statistics
    made = _of_rank(b, _NORMS, len(b.node_shape(node)))(weight.size, eps, momentum)
    with_weights(made, weight, bias)
    made.running_mean = torch.tensor(np.ravel(mean), dtype=torch.float32)
    made.running_var = torch.tensor(np.ravel(variance), dtype=torch.float32)
    return b.of_native(b.module(made, node))


def layer_norm(
    b: NetworkBuilder, x: Value | Constant, weight: Array | None, bias: Array | None, eps: float,
    axes: int,
) -> Value:  # fmt: skip
    """Normalization over the last `axes` axes of the file's tensor."""
    node = b.node(x)
    shape = b.node_shape(node)[-axes:]
    made = nn.LayerNorm(shape, eps, elementwise_affine=weight is not None, bias=bias is not None)
    if weight is not None:
        with_weights(made, np.broadcast_to(weight, shape), bias)
    return b.plain(b.module(made, node))


def with_weights(module: Any, weight: Array, bias: Array | None) -> Any:
    """The module with these trainable values."""
    module.weight = _parameter(weight)
    if bias is not None:
        module.bias = _parameter(np.broadcast_to(bias, module.bias.shape))
    return module


def _parameter(values: Array) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.array(values, np.float32)))


def _of_rank(b: NetworkBuilder, kinds: dict[int, Any], rank: int) -> Any:
    if rank not in kinds:
        raise UnsupportedLayer(
            f"{b.label}: on tensors of {rank} axes; allowed are "
            f"{' and '.join(map(str, sorted(kinds)))}"
        )
    return kinds[rank]
