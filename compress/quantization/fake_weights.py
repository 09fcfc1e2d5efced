"""Fake quantization of one layer's weights during training."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor as Values
from torch import nn

from compress.frontend.layers import Layer
from compress.quantization.grids import WEIGHTED, call_names
from compress.quantization.lsq import PartOfSteps, StepSize
from compress.quantization.scheme import Scheme
from compress.quantization.weight_grids import WEIGHT_LIMITS, channel_axis, weight_peaks
from compress.types import Array

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d
# A factor per channel that is folded into the weights, (channels,), as it is at present.
Factor = Callable[[], Values]


def norm_factor(norm: BatchNorm) -> Values:
    """Batch-norm's factor per channel, gamma / sqrt(variance + eps), without gradient."""
    if norm.running_var is None:
        return torch.ones(1)
    factor = 1.0 / torch.sqrt(norm.running_var + norm.eps)
    return factor * norm.weight.detach() if norm.affine else factor


class WeightRounding:
    """Fake quantization of a Conv2d's or Linear's weights, with a straight-through estimator.

    The integer graph rounds weights with the batch-norm, and constants that multiply channels,
    folded in (`factors`); training holds them unfolded.
    With one scale per channel, folding scales a channel's weights and its symmetric grid alike, so
    rounding the unfolded weights gives the same integers. With one scale per tensor, weights are
    folded with the running statistics, rounded, and unfolded. Gradients: arXiv:1308.3432.
    """

    def __init__(self, layer: Layer, scheme: Scheme, factors: tuple[Factor, ...] = ()) -> None:
        self.per_channel = channel_axis(layer, scheme.spec.granularity) is not None
        self.limit = WEIGHT_LIMITS[scheme.of(layer.name).weights]
        self.weight_range = scheme.spec.weight_range
        self.factors = factors
        self.step_size: StepSize | PartOfSteps | None = None

    def learn(self, weight: Values, known: Array | None) -> StepSize:
        """Switch to learned step sizes and return them, to be trained.

        They start from the learned peaks `known` (`peaks`) if there is one per step, else from the
        peaks of least squared error: the largest weight is too far from the final step size for
        training to get there.
        """
        rows = self._rows(weight.detach())
        if known is None or len(known) != len(rows):
            peaks = weight_peaks(rows.numpy(), self.limit, "mse")
        elif self.per_channel:
            peaks = known / self._fold().numpy()
        else:
            peaks = known
        steps = torch.from_numpy(np.where(peaks > 0, peaks, 1.0).astype(np.float32)) / self.limit
        return self.start(weight, steps)

    def start(self, weight: Values, steps: Values) -> StepSize:
        """Switch to learned step sizes that start from `steps`, float32 (channels,) or (1,).

        They are those of unfolded weights with one per channel, else of folded ones.
        """
        self.step_size = made = StepSize(
            initial=self._per_channel(steps, weight),
            zero_point=0,
            ends=(-self.limit, self.limit),
            features=weight.numel() // len(steps),
        )
        return made

    def peaks(self) -> Array:
        """The learned magnitudes of the largest integer, float32 (channels,) or (1,) per tensor.

        They are those of the weights with the batch-norm folded in. Raises ValueError before
        `learn`.
        """
        if self.step_size is None:
            raise ValueError("these weights have no learned step sizes; call learn first")
        peaks = self.step_size.step.detach().reshape(-1) * self.limit
        folded: Array = (peaks * self._fold() if self.per_channel else peaks).numpy()
        return folded

    def __call__(self, weight: Values) -> Values:
        if self.per_channel or not self.factors:
            return self._rounded(weight)
        fold = self._per_channel(self._fold(), weight)
        return self._rounded(weight * fold) / fold

    def _rounded(self, weight: Values) -> Values:
        if self.step_size is not None:
            result: Values = self.step_size(weight)
            return result
        with torch.no_grad():
            rows = weight.reshape(len(weight) if self.per_channel else 1, -1)
            peaks = torch.from_numpy(weight_peaks(rows.numpy(), self.limit, self.weight_range))
            steps = self._per_channel(torch.where(peaks > 0, peaks / self.limit, 1.0), weight)
            rounded = torch.round(weight / steps).clamp_(-self.limit, self.limit) * steps
        return weight + (rounded - weight).detach()

    def _rows(self, weight: Values) -> Values:
        """The weights as (steps, weights per step), folded with one scale per tensor."""
        if self.per_channel:
            return weight.reshape(len(weight), -1)
        return (weight * self._per_channel(self._fold(), weight)).reshape(1, -1)

    def _per_channel(self, values: Values, weight: Values) -> Values:
        """`values` (channels,) or (1,), shaped to broadcast along the first axis of `weight`."""
        return values.reshape(-1, *[1] * (weight.dim() - 1))

    def _fold(self) -> Values:
        """The magnitude of all factors together, per channel, or 1 where that is 0."""
        factor = torch.ones(1)
        for factors in self.factors:
            factor = factor * factors().abs()
        return torch.where(factor > 0, factor, 1.0)


def weight_roundings(
    captured: Sequence[Layer],
    fused: Sequence[Layer],
    scheme: Scheme,
    factor: Callable[[Layer, Layer], Factor],
) -> dict[str, WeightRounding]:
    """Fake quantizers of the weights of `captured` layers, by output value.

    A layer that runs twice has two: another batch-norm may follow each run. `fused` are the same
    layers as they are lowered; `factor` gives what a batch-norm or constant (first argument) that
    is folded into a weighted layer (second one) multiplies its weights by.
    """
    norms = {layer.name: layer for layer in captured if layer.kind in ("batch_norm", "affine")}
    calls, runs = call_names(tuple(captured)), call_names(tuple(fused))
    folded = {runs[layer.output]: layer.norms for layer in fused if layer.kind in WEIGHTED}
    roundings = {}
    for layer in captured:
        if layer.kind in WEIGHTED:
            factors = tuple(factor(norms[name], layer) for name in folded[calls[layer.output]])
            roundings[layer.output] = WeightRounding(layer, scheme, factors)
    return roundings


def outputs_first(module: Any) -> Values:
    """A layer's weight with the axis of the outputs in front."""
    weight: Values = module.weight
    if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d):
        return weight.swapaxes(0, 1)
    return weight
