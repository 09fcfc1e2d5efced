"""Better integers than rounding to nearest gives, found on calibration data layer by layer.

The calibration samples pass the network twice at once: as float, and rounded as the integer graph
will. Each weighted layer is refined in its turn, on inputs that earlier, refined layers made.
"""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor as Values

from compress.frontend.execute import activated, unweighted, weighted_sum
from compress.frontend.layers import Layer
from compress.quantization.adaround import adaround
from compress.quantization.fake_quantize import fake_quantizer
from compress.quantization.grids import Grids
from compress.quantization.weight_grids import LayerWeights
from compress.types import Array


@dataclass(frozen=True, slots=True, eq=False)
class _ValuePair:
    """One value, by the float network and by the rounded one."""

    exact: Values
    rounded: Values


def refined(
    grids: Grids, weights: dict[str, LayerWeights], x: Array, seed: int
) -> dict[str, LayerWeights]:
    """`weights` (by the value their layer makes) by the scheme's `rounding` and `correct_bias`.

    x float32 (N, C, H, W) are calibration samples; the same `seed` gives the same integers.
    """
    better = dict(weights)
    unread = Counter(value for layer in grids.layers for value in layer.inputs)
    start = torch.from_numpy(x)
    values = {grids.source: _ValuePair(start, fake_quantizer(grids.of(grids.source))(start))}
    for turn, layer in enumerate(grids.layers):
        inputs = [values[value] for value in layer.inputs]
        if layer.output in weights:
            better[layer.output], made = _refined(
                grids, layer, weights[layer.output], inputs[0], seed + turn
            )
        else:
            exact = unweighted(layer, tuple(value.exact for value in inputs))
            made = _ValuePair(exact, unweighted(layer, tuple(value.rounded for value in inputs)))
        on_its_grid = fake_quantizer(grids.of(layer.output))
        values[layer.output] = _ValuePair(made.exact, on_its_grid(made.rounded))
        unread.subtract(layer.inputs)
        for value in set(layer.inputs):
            if not unread[value]:
                del values[value]
    return better


def _refined(
    grids: Grids, layer: Layer, weights: LayerWeights, source: _ValuePair, seed: int
) -> tuple[LayerWeights, _ValuePair]:
    """The layer's better weights, and its output before that is rounded."""
    spec, value = grids.scheme.spec, layer.inputs[0]
    bits, read = grids.bits[layer.output], source.rounded
    if bits < grids.bits[value]:
        read = fake_quantizer(grids.of(value, bits))(read)
    wanted = weighted_sum(layer, source.exact, weights.real, weights.bias)
    if spec.rounding == "adaround":
        weights = adaround(layer, weights, read, wanted, seed)
    if spec.correct_bias:
        got = weighted_sum(layer, read, weights.rounded, weights.bias)
        weights = corrected(weights, wanted, got)
    got = weighted_sum(layer, read, weights.rounded, weights.bias)
    return weights, _ValuePair(
        activated(wanted, layer.activation), activated(got, layer.activation)
    )


def corrected(weights: LayerWeights, wanted: Values, got: Values) -> LayerWeights:
    """`weights` with the bias moved by the mean of wanted - got, channel by channel.

    Empirical bias correction: takes back the mean error that rounding leaves in each channel
    (arXiv:1906.04721, section 4.2 and appendix D; arXiv:2106.08295, section 3.3).
    `wanted` and `got` (N, C, ...) are the layer's outputs before its activation: those of the
    float network, and those of the rounded weights on rounded inputs.
    """
    others = [d for d in range(wanted.dim()) if d != 1]
    error = (wanted - got).mean(others).numpy()
    return replace(weights, bias=(weights.bias + error).astype(np.float32))
