"""How training feels the rounding of one layer's weights."""

import numpy as np
import torch
from torch import Tensor as Values
from torch import nn

from compress.frontend.layers import Layer
from compress.quantization.lsq import StepSize
from compress.quantization.scheme import Scheme
from compress.quantization.weight_grids import WEIGHT_LIMITS, channel_axis, weight_peaks
from compress.types import Array

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


class WeightRounding:
    """Rounds the weights of a Conv2d or Linear to their integers, with gradients.

    Scaling a channel by its batch-norm scales its symmetric grid alike, so rounding the unfolded
    weights equals rounding the folded ones; with one scale per tensor, weights are folded by the
    running statistics, rounded and unfolded. Gradients pass straight through (arXiv:1308.3432).
    """

    def __init__(self, layer: Layer, scheme: Scheme, norm: BatchNorm | None) -> None:
        self.per_channel = channel_axis(layer, scheme.spec.granularity) is not None
        self.limit = WEIGHT_LIMITS[scheme.of(layer.name).weights]
        self.chosen = scheme.spec.weight_range
        self.norm = norm
        self.size: StepSize | None = None

    def learn(self, weight: Values, known: Array | None) -> StepSize:
        """From now on the steps are those returned, to be trained.

        They start from the peaks `known` if there is one per step, else from those of least
        squared error: where steps are learned, the largest weight is too far to start from.
        """
        rows = self._rows(weight.detach())
        if known is None or len(known) != len(rows):
            peaks = weight_peaks(rows.numpy(), self.limit, "mse")
        elif self.per_channel:
            peaks = known / self._fold().numpy()
        else:
            peaks = known
        steps = torch.from_numpy(np.where(peaks > 0, peaks, 1.0).astype(np.float32)) / self.limit
        self.size = StepSize(
            self._along(steps, weight), 0, (-self.limit, self.limit), weight.numel() // len(rows)
        )
        return self.size

    def peaks(self) -> Array:
        """What the largest integer stands for, batch-norm folded: float32 (channels,) or (1,)."""
        if self.size is None:
            raise ValueError("these weights have no learned steps")
        peaks = self.size.step.detach().reshape(-1) * self.limit
        folded: Array = (peaks * self._fold() if self.per_channel else peaks).numpy()
        return folded

    def __call__(self, weight: Values) -> Values:
        if self.per_channel or self.norm is None:
            return self._rounded(weight)
        fold = self._along(self._fold(), weight)
        return self._rounded(weight * fold) / fold

    def _rounded(self, weight: Values) -> Values:
        if self.size is not None:
            result: Values = self.size(weight)
            return result
        with torch.no_grad():
            rows = weight.reshape(len(weight) if self.per_channel else 1, -1)
            peaks = torch.from_numpy(weight_peaks(rows.numpy(), self.limit, self.chosen))
            steps = self._along(torch.where(peaks > 0, peaks / self.limit, 1.0), weight)
            rounded = torch.round(weight / steps).clamp_(-self.limit, self.limit) * steps
        return weight + (rounded - weight).detach()

    def _rows(self, weight: Values) -> Values:
        """LayerWeights that share a step, in a row each."""
        if self.per_channel:
            return weight.reshape(len(weight), -1)
        return (weight * self._along(self._fold(), weight)).reshape(1, -1)

    def _along(self, values: Values, weight: Values) -> Values:
        return values.reshape(-1, *[1] * (weight.dim() - 1))

    def _fold(self) -> Values:
        """The magnitude of what batch-norm scales each channel by; 1 where it would erase it."""
        norm = self.norm
        if norm is None or norm.running_var is None:
            return torch.ones(1)
        factor = 1.0 / torch.sqrt(norm.running_var + norm.eps)
        factor = (factor * norm.weight.detach() if norm.affine else factor).abs()
        return torch.where(factor > 0, factor, 1.0)
