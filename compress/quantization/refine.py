"""AdaRound and bias correction, layer by layer on the calibration samples.

Each value is computed twice: by the float network, and quantized as the integer graph will compute
it. A layer is refined on the quantized inputs that the refined layers before it produce, so it also
compensates for their errors.
"""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor as Values

from compress.frontend.execute import activated, network_inputs, unweighted, weighted_sum
from compress.frontend.layers import Layer
from compress.quantization.adaround import adaround
from compress.quantization.fake_quantize import fake_quantizer
from compress.quantization.grids import WEIGHTED, Grids
from compress.quantization.weight_grids import LayerWeights
from compress.types import Array


@dataclass(frozen=True, slots=True, eq=False)
class _ValuePair:
    """One activation of the calibration samples: `exact` in float, `rounded` as quantized."""

    exact: Values
    rounded: Values


def refined_weights(
    grids: Grids, weights: dict[str, LayerWeights], x: Array, seed: int
) -> dict[str, LayerWeights]:
    """`weights` improved by AdaRound and bias correction, as far as the scheme asks for them.

    `weights` and the result are by the name of the layer's output value. x float32 (N, C, H, W)
    are the calibration samples. The same `seed` gives the same integers.
    """
    improved = dict(weights)
    # Remaining readers of each value, to free it after the last one.
    unread = Counter(value for layer in grids.layers for value in layer.inputs)
    values = {
        source: _ValuePair(start, fake_quantizer(grids.of(source))(start))
        for source, start in network_inputs(grids.sources, x).items()
    }
    for index, layer in enumerate(grids.layers):
        inputs = [values[value] for value in layer.inputs]
        if layer.kind in WEIGHTED:
            improved[layer.output], made = _refined_layer(
                grids, layer, weights[layer.output], inputs[0], seed + index
            )
        else:
            exact = unweighted(layer, tuple(value.exact for value in inputs))
            made = _ValuePair(exact, unweighted(layer, tuple(value.rounded for value in inputs)))
        quantized = fake_quantizer(grids.of(layer.output))
        values[layer.output] = _ValuePair(made.exact, quantized(made.rounded))
        unread.subtract(layer.inputs)
        for value in set(layer.inputs):
            if not unread[value]:
                del values[value]
    return improved


def _refined_layer(
    grids: Grids, layer: Layer, weights: LayerWeights, source: _ValuePair, seed: int
) -> tuple[LayerWeights, _ValuePair]:
    """The layer's improved weights, and its activated output before quantization."""
    spec, value = grids.scheme.spec, layer.inputs[0]
    bits, read = grids.bits[layer.output], source.rounded
    if bits < grids.bits[value]:
        read = fake_quantizer(grids.of(value, bits))(read)
    target = weighted_sum(layer, source.exact, weights.real, weights.bias)
    if spec.rounding == "adaround" and layer.kind != "transposed":
        weights = adaround(layer, weights, read, target, seed)
    if spec.correct_bias:
        actual = weighted_sum(layer, read, weights.rounded, weights.bias)
        weights = bias_corrected(weights, target, actual)
    actual = weighted_sum(layer, read, weights.rounded, weights.bias)
    return weights, _ValuePair(activated(target, layer), activated(actual, layer))


def bias_corrected(weights: LayerWeights, target: Values, actual: Values) -> LayerWeights:
    """`weights` with the mean of `target` - `actual` per channel added to the bias.

    Empirical bias correction: removes the mean error that quantization causes in each channel
    (arXiv:1906.04721, section 4.2 and appendix D; arXiv:2106.08295, section 3.3). `target` and
    `actual` (N, C, ...) are the layer's outputs before its activation: those of the float network,
    and those of the integer weights on quantized inputs.
    """
    others = [d for d in range(target.dim()) if d != 1]
    error = (target - actual).mean(others).numpy()
    return replace(weights, bias=(weights.bias + error).astype(np.float32))
