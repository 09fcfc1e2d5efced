"""AdaRound: learn which weights to round up, layer by layer (arXiv:2004.10568)."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor as Values
from torch.nn import functional

from compress.frontend.execute import activated, from_torch, to_torch, windows
from compress.frontend.layers import Layer
from compress.quantization.weight_grids import LayerWeights

# The stretch of the rectified sigmoid, equation 23.
_LOW, _HIGH = -0.1, 1.1
# Rows (positions of samples) to learn from, and how many a step sees.
_ROWS = 4096
_BATCH = 256
_STEPS = 800
_LEARNING_RATE = 0.02
# The regularizer's weight, relative to the error of rounding to nearest; its exponent falls from
# the first to the second value after a share of the steps without it (section 3.3).
_REGULARIZATION = 1.0
_EXPONENTS = (20.0, 2.0)
_WARM_UP = 0.2

# (integers (outputs, weights), rows, targets) -> mean squared error
_Error = Callable[[Values, Values, Values], Values]


def adaround(
    layer: Layer, weights: LayerWeights, x: Values, wanted: Values, seed: int
) -> LayerWeights:
    """`weights` rounded so that the layer's output, after its activation, is nearest to `wanted`.

    x (N, C, H, W) or (N, K) are the layer's rounded inputs, `wanted` (N, C', H', W') or (N, C')
    the float network's outputs before the activation (asymmetric reconstruction, equation 25).
    Rounding to nearest stays where it is no worse on these.
    """
    generator = torch.Generator().manual_seed(seed)
    rows, targets = _rows(layer, x, wanted, generator)
    targets = activated(targets, layer.activation)
    error = _error(layer, weights)
    steps = torch.from_numpy(weights.scales).reshape(-1, 1)
    exact = to_torch(weights.real, layer.kind).flatten(1) / steps
    nearest = to_torch(weights.values, layer.kind)
    with torch.no_grad():
        first = error(nearest.flatten(1), rows, targets)
    if first == 0:
        return weights
    below = torch.floor(exact)
    room = torch.ceil(exact) - below  # none for what is a whole number: zeros stay zero

    def rounded(up: Values) -> Values:
        return (below + up * room).clamp(-weights.limit, weights.limit)

    def loss(up: Values, chosen: Values) -> Values:
        return error(rounded(up), rows[chosen], targets[chosen]) / first

    whole = rounded(_learned(exact - below, len(rows), loss, generator))
    if error(whole, rows, targets) >= first:
        return weights
    values = from_torch(whole.reshape(nearest.shape), layer.kind).astype(np.int8)
    return replace(weights, values=values)


def _learned(
    share: Values, rows: int, loss: Callable[[Values, Values], Values], generator: torch.Generator
) -> Values:
    """Of each weight 1 to round up or 0 to round down, starting from its fractional part."""
    start = torch.logit(((share - _LOW) / (_HIGH - _LOW)).clamp(0.01, 0.99))
    variables = start.requires_grad_()
    optimizer = torch.optim.Adam([variables], lr=_LEARNING_RATE)
    for step in range(_STEPS):
        chosen = torch.randint(rows, (_BATCH,), generator=generator)
        up = (torch.sigmoid(variables) * (_HIGH - _LOW) + _LOW).clamp(0.0, 1.0)
        total = loss(up, chosen)
        progress = (step / _STEPS - _WARM_UP) / (1.0 - _WARM_UP)
        if progress >= 0.0:
            exponent = _EXPONENTS[0] + (_EXPONENTS[1] - _EXPONENTS[0]) * progress
            undecided = 1.0 - (2.0 * up - 1.0).abs() ** exponent
            total = total + _REGULARIZATION * undecided.mean()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    return (variables.detach() >= 0.0).float()


def _error(layer: Layer, weights: LayerWeights) -> _Error:
    steps = torch.from_numpy(weights.scales).reshape(-1, 1)
    bias = torch.from_numpy(weights.bias)

    def error(whole: Values, rows: Values, targets: Values) -> Values:
        weight = whole * steps
        grouped = layer.kind == "depthwise"
        sums = torch.einsum("rct,ct->rc", rows, weight) if grouped else rows @ weight.T
        return functional.mse_loss(activated(sums + bias, layer.activation), targets)

    return error


def _rows(
    layer: Layer, x: Values, wanted: Values, generator: torch.Generator
) -> tuple[Values, Values]:
    """What the weights see, (rows, weights) or (rows, channels, taps), and (rows, channels)."""
    if layer.kind == "linear":
        return x, wanted
    count = max(1, _ROWS // len(x))
    rows, positions = windows(layer, x, count, generator)
    channels = wanted.shape[1]
    targets = wanted.flatten(2).gather(2, positions[:, None].expand(-1, channels, -1))
    targets = targets.transpose(1, 2).reshape(-1, channels)
    if layer.kind == "depthwise":
        rows = rows.reshape(len(rows), x.shape[1], -1)
        rows = rows.repeat_interleave(channels // x.shape[1], 1)
    return rows, targets
