"""LayerWeights as integers: scales, rounding and biases of a layer's float weights. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from compress.errors import Infeasible
from compress.frontend.layers import Layer
from compress.genome import Granularity
from compress.types import Array, DType, Int8Array

WeightRange = Literal["max", "mse"]

# Symmetric: the most negative integer is unused.
WEIGHT_LIMITS = {8: 127, 4: 7, 2: 1}
# A bias must stay well inside int32 after division by its scale.
_MAX_BIAS = 2.0**30
# Clipping ratios that "mse" tries.
_RATIOS = np.linspace(0.1, 1.0, 46, dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class LayerWeights:
    """A layer's constants on the way to integers.

    `real` float32 weights in the layer's shape, `scales` float32 (channels,) or (1,) per tensor,
    `values` int8 within `-limit .. limit`, `bias` float32 (channels,). `axis` is that of the
    channels, None per tensor.
    """

    real: Array
    scales: Array
    values: Int8Array
    bias: Array
    bits: int
    axis: int | None

    @property
    def limit(self) -> int:
        return WEIGHT_LIMITS[self.bits]

    @property
    def dtype(self) -> DType:
        return "int8" if self.bits == 8 else "int4"

    @property
    def steps(self) -> Array:
        """`scales`, shaped to multiply `values`."""
        return along(self.scales, self.real.ndim, self.axis)

    @property
    def rounded(self) -> Array:
        """The weights that the integers stand for, float32."""
        return (self.values * self.steps).astype(np.float32)


def along(scales: Array, dimensions: int, axis: int | None) -> Array:
    """`scales` in as many dimensions as a weight has, along its `axis`."""
    shape = [1] * dimensions
    if axis is not None:
        shape[axis] = -1
    return scales.reshape(shape)


def channel_axis(layer: Layer, granularity: Granularity) -> int | None:
    """Where the weights have one scale per channel; None: one in all.

    Linear has one in all, as the specification's FULLY_CONNECTED.
    """
    if granularity == "tensor":
        return None
    return {"conv": 0, "depthwise": 3}.get(layer.kind)


def quantized_weights(
    layer: Layer,
    bits: int,
    granularity: Granularity,
    chosen: WeightRange,
    input_scale: float,
    peaks: Array | None = None,
) -> LayerWeights:
    """The weights and bias of a conv, depthwise or linear layer, rounded to nearest.

    `peaks` are magnitudes that the largest integer shall stand for, (channels,) or (1,); without
    them they are found by `chosen`. Their shape is not that of the scales: they are ignored.
    """
    if layer.weight is None:
        raise TypeError(f"{layer.name}: a layer without weights")
    weight, axis = layer.weight, channel_axis(layer, granularity)
    channels = weight.shape[3 if layer.kind == "depthwise" else 0]
    bias = np.zeros(channels, np.float32) if layer.bias is None else layer.bias
    rows = weight.reshape(1, -1) if axis is None else np.moveaxis(weight, axis, 0)
    rows = rows.reshape(len(rows), -1)
    limit = WEIGHT_LIMITS[bits]
    if peaks is None or len(peaks) != len(rows):
        peaks = weight_peaks(rows, limit, chosen)
    scales = safe_scales(peaks / limit, bias, input_scale)
    whole = np.round(weight / along(scales, weight.ndim, axis).astype(np.float64))
    values = np.clip(whole, -limit, limit).astype(np.int8)
    return LayerWeights(weight, scales, values, bias, bits, axis)


def weight_peaks(rows: Array, limit: int, chosen: WeightRange) -> Array:
    """Per row of weights (rows, weights), the magnitude that the integer `limit` stands for.

    "max": the largest; "mse": the share of it that, with the rest clipped, leaves the least
    squared error (arXiv:2106.08295, section 3.1).
    """
    peaks: Array = np.abs(rows).max(axis=1)
    if chosen == "max":
        return peaks
    scales = np.where(peaks > 0, peaks, 1.0)[:, np.newaxis] * (_RATIOS / limit)
    errors = np.empty(scales.shape)
    for column, scale in enumerate(scales.T[..., np.newaxis]):
        rounded = np.clip(np.round(rows / scale), -limit, limit) * scale
        errors[:, column] = ((rounded - rows) ** 2).sum(axis=1)
    best: Array = peaks * _RATIOS[errors.argmin(axis=1)]
    return best


def safe_scales(scales: Array, bias: Array, input_scale: float) -> Array:
    """float32 `scales`, none so small that its channel's bias would overflow int32.

    Where a scale vanishes, or would times the input's in float32, there are no weights to speak
    of: any scale does.
    """
    needed = np.abs(bias) / (input_scale * _MAX_BIAS)
    needed = needed if len(scales) == len(bias) else needed.max(keepdims=True)
    scales = np.maximum(scales, needed)
    vanishing = scales * input_scale < np.finfo(np.float32).tiny
    return np.where(vanishing, 1.0 / 127, scales).astype(np.float32)


def integer_bias(weights: LayerWeights, input_scale: float) -> tuple[Array, Array]:
    """The bias as int32 (channels,), and its float32 scales: input scale * weight scales.

    A bias that was corrected after its channel's scale was chosen may be beyond it: it stays at
    the end. Raises Infeasible for a bias that is no number.
    """
    if not np.isfinite(weights.bias).all():
        raise Infeasible("a bias is not finite; training diverged")
    scales = np.float32(input_scale) * weights.scales
    whole = np.clip(np.round(weights.bias / scales.astype(np.float64)), -_MAX_BIAS, _MAX_BIAS)
    return whole.astype(np.int32), scales
