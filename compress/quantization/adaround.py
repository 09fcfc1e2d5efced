"""AdaRound: learned rounding of a layer's weights, up or down (arXiv:2004.10568).

The layer's integers are floor(w / s) + h, with scale s and one h in [0, 1] per weight. A continuous
h is trained by gradient descent, pushed toward 0 or 1 by a regularizer, and finally rounded.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor as Values
from torch.nn import functional

from compress.frontend.execute import activated, from_torch, to_torch, windows
from compress.frontend.layers import Layer
from compress.quantization.weight_grids import LayerWeights
from compress.training.optimizers import Adam

# Rectified sigmoid, equation 23: h = clip(sigmoid(v) * (_HIGH - _LOW) + _LOW, 0, 1). Stretched
# beyond [0, 1], it reaches both ends at finite v, where its gradient does not vanish.
_LOW, _HIGH = -0.1, 1.1
# Layer inputs (one row per sampled output position), and rows per optimizer step.
_ROWS = 4096
_BATCH = 256
_STEPS = 800
_LEARNING_RATE = 0.02
# Regularizer, equation 24: mean of 1 - |2h - 1|**exponent. Its weight is relative to the error of
# rounding to nearest. After a warm-up (a share of the steps) without it, the exponent falls
# linearly: a large one pulls only values near 0 or 1, a small one all of them (section 3.3).
_REGULARIZATION = 1.0
_EXPONENTS = (20.0, 2.0)
_WARM_UP = 0.2

# (integers (outputs, weights), rows, targets) -> mean squared error
_Error = Callable[[Values, Values, Values], Values]


def adaround(
    layer: Layer, weights: LayerWeights, x: Values, target: Values, seed: int
) -> LayerWeights:
    """`weights` rounded up or down to minimize the squared error of the layer's activated output.

    x (N, C, H, W) or (N, K) are the layer's quantized inputs, `target` (N, C', H', W') or (N, C')
    the float network's outputs before the activation (asymmetric reconstruction, equation 25).
    Rounding to nearest is kept unless the learned rounding has a smaller error on these samples.
    """
    generator = torch.Generator().manual_seed(seed)
    rows, targets = _rows(layer, x, target, generator)
    targets = activated(targets, layer)
    error = _error(layer, weights)
    scales = torch.from_numpy(weights.scales).reshape(-1, 1)
    exact = to_torch(weights.real, layer.kind).flatten(1) / scales
    nearest = to_torch(weights.values, layer.kind)
    with torch.no_grad():
        nearest_error = error(nearest.flatten(1), rows, targets)
    if nearest_error == 0:
        return weights
    below = torch.floor(exact)
    gap = torch.ceil(exact) - below  # 0 for an exact integer, so that pruned weights stay zero

    def rounded(up: Values) -> Values:
        return (below + up * gap).clamp(-weights.limit, weights.limit)

    def loss(up: Values, chosen: Values) -> Values:
        return error(rounded(up), rows[chosen], targets[chosen]) / nearest_error

    integers = rounded(_learned(exact - below, len(rows), loss, generator))
    if error(integers, rows, targets) >= nearest_error:
        return weights
    values = from_torch(integers.reshape(nearest.shape), layer.kind).astype(np.int8)
    return replace(weights, values=values)


def _learned(
    fraction: Values,
    rows: int,
    loss: Callable[[Values, Values], Values],
    generator: torch.Generator,
) -> Values:
    """Learned roundings, 1.0 up or 0.0 down, in the shape of `fraction`.

    `fraction` is the fractional part of w / s, from which h starts. `loss` takes h and the indices
    of a batch among `rows` rows.
    """
    start = torch.logit(((fraction - _LOW) / (_HIGH - _LOW)).clamp(0.01, 0.99))
    variables = start.requires_grad_()
    optimizer = Adam([variables], lr=_LEARNING_RATE)
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
    """The mean squared error of the layer's activated output, as a function of its integers."""
    scales = torch.from_numpy(weights.scales).reshape(-1, 1)
    bias = torch.from_numpy(weights.bias)

    def error(integers: Values, rows: Values, targets: Values) -> Values:
        weight, groups = integers * scales, rows.shape[1]
        if groups == 1:
            sums = rows[:, 0] @ weight.T  # much faster than the general form
        else:
            filters = weight.reshape(groups, -1, rows.shape[2])
            sums = torch.einsum("rgt,got->rgo", rows, filters).flatten(1)
        return functional.mse_loss(activated(sums + bias, layer), targets)

    return error


def _rows(
    layer: Layer, x: Values, target: Values, generator: torch.Generator
) -> tuple[Values, Values]:
    """Layer inputs as rows (im2col), and the targets (rows, channels), at random positions.

    The rows are (rows, groups, weights of a filter); a depthwise layer has a group per channel.
    """
    if layer.kind == "linear":
        return x[:, None], target
    count = max(1, _ROWS // len(x))
    rows, positions = windows(layer, x, count, generator)
    channels = target.shape[1]
    targets = target.flatten(2).gather(2, positions[:, None].expand(-1, channels, -1))
    targets = targets.transpose(1, 2).reshape(-1, channels)
    groups = x.shape[1] if layer.kind == "depthwise" else layer.groups
    return rows.reshape(len(rows), groups, -1), targets
