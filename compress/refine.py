"""Better integers than rounding to nearest gives, found on calibration data layer by layer.

The calibration samples pass the network twice at once: as float, and rounded as the integer graph
will. Each weighted layer is refined in its turn, on inputs that earlier, refined layers made.
"""

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor as Values

from compress.adaround import adaround
from compress.bias_correction import corrected
from compress.execute import activated, unweighted, weighted_sum
from compress.grids import WEIGHTED, Grids
from compress.layers import Layer
from compress.quantize import on_grid
from compress.types import Array
from compress.weights import Weights


@dataclass(frozen=True, slots=True, eq=False)
class _Both:
    """One value, by the float network and by the rounded one."""

    exact: Values
    rounded: Values


def refined(grids: Grids, weights: dict[str, Weights], x: Array, seed: int) -> dict[str, Weights]:
    """`weights` (by the value their layer makes) by the scheme's `rounding` and `correct_bias`.

    x float32 (N, C, H, W) are calibration samples; the same `seed` gives the same integers.
    """
    spec, better = grids.scheme.spec, dict(weights)
    unread = Counter(value for layer in grids.layers for value in layer.inputs)
    start = torch.from_numpy(x)
    values = {grids.source: _Both(start, on_grid(grids.of(grids.source))(start))}
    with torch.no_grad():
        for turn, layer in enumerate(grids.layers):
            inputs = [values[value] for value in layer.inputs]
            if layer.kind in WEIGHTED:
                read = _read(grids, layer, inputs[0])
                wanted = weighted_sum(layer, inputs[0].exact, *_float_constants(weights, layer))
                found = better[layer.output]
                if spec.rounding == "adaround":
                    with torch.enable_grad():
                        found = adaround(layer, found, read, wanted, seed + turn)
                got = weighted_sum(layer, read, found.rounded, found.bias)
                if spec.correct_bias:
                    moved = corrected(found, wanted, got)
                    got += torch.from_numpy(moved.bias - found.bias).reshape(
                        -1, *[1] * (got.dim() - 2)
                    )
                    found = moved
                better[layer.output] = found
                made = _Both(activated(wanted, layer.activation), activated(got, layer.activation))
            else:
                made = _Both(
                    unweighted(layer, tuple(value.exact for value in inputs)),
                    unweighted(layer, tuple(value.rounded for value in inputs)),
                )
            rounding = on_grid(grids.of(layer.output))
            values[layer.output] = _Both(made.exact, rounding(made.rounded))
            for value in layer.inputs:
                unread[value] -= 1
                if not unread[value]:
                    values.pop(value, None)
    return better


def _read(grids: Grids, layer: Layer, source: _Both) -> Values:
    """The rounded input in the bits that the layer runs with."""
    value, bits = layer.inputs[0], grids.bits[layer.output]
    if bits >= grids.bits[value]:
        return source.rounded
    return on_grid(grids.of(value, bits))(source.rounded)


def _float_constants(weights: dict[str, Weights], layer: Layer) -> tuple[Array, Array]:
    given = weights[layer.output]
    return given.real, given.bias
