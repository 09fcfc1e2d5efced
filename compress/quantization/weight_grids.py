"""Integer weights: scales, rounding and biases of a layer's float weights. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from compress.errors import Infeasible
from compress.frontend.layers import Layer
from compress.genome import Granularity
from compress.quantization.scheme import Grid
from compress.types import Array, DType, Int8Array

WeightRange = Literal["max", "mse"]

# Largest integer by bits. Weights are symmetric: the most negative integer is unused.
WEIGHT_LIMITS = {8: 127, 4: 7, 2: 1}
# Largest magnitude of an integer bias: half of int32 is left for the products added to it.
_MAX_BIAS = 2.0**30
# Shares of the largest magnitude that "mse" tries as clipping threshold: 10 % to 100 %.
_RATIOS = np.linspace(0.1, 1.0, 46, dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class LayerWeights:
    """Float and integer weights of one layer, with their scales and the float bias.

    `real`: float32, in the layer's shape (`compress.frontend.layers.Layer`). `values`: int8, in the
    same shape, within -`limit` .. `limit`. `scales`: float32 (channels,), or (1,) per tensor.
    `bias`: float32 (channels,). `axis`: the channels' axis, None with one scale per tensor.
    """

    real: Array
    scales: Array
    values: Int8Array
    bias: Array
    bits: int
    axis: int | None

    @property
    def limit(self) -> int:
        """The largest integer of a weight: 127, 7 or 1."""
        return WEIGHT_LIMITS[self.bits]

    @property
    def dtype(self) -> DType:
        """The tensor type in the graph; weights of 2 bits are held as int4."""
        return "int8" if self.bits == 8 else "int4"

    @property
    def rounded(self) -> Array:
        """The weights that the integers represent, scale * integer: float32."""
        scales = along_axis(self.scales, self.real.ndim, self.axis)
        return (self.values * scales).astype(np.float32)


def along_axis(scales: Array, dimensions: int, axis: int | None) -> Array:
    """`scales` reshaped to `dimensions` axes, so that they broadcast along `axis` of a weight."""
    shape = [1] * dimensions
    if axis is not None:
        shape[axis] = -1
    return scales.reshape(shape)


def channel_axis(layer: Layer, granularity: Granularity) -> int | None:
    """The axis along which the weights have one scale per channel; None with one per tensor.

    Linear always has one per tensor, as FULLY_CONNECTED in the TensorFlow Lite specification.
    """
    if granularity == "tensor":
        return None
    return {"conv": 0, "transposed": 0, "depthwise": 3}.get(layer.kind)


def quantized_weights(
    layer: Layer,
    bits: int,
    granularity: Granularity,
    weight_range: WeightRange,
    input_scale: float,
    peaks: Array | None = None,
) -> LayerWeights:
    """The weights of a layer that has some, rounded to nearest, and its bias.

    scale = peak / limit, where the peak is the magnitude that the largest integer represents.
    `peaks` (channels,) or (1,) are learned ones; without them, or where their number is not that
    of the scales, they are found by `weight_range`. `input_scale` is the scale of the layer's
    input, on which the bias's scale depends (`safe_scales`).
    """
    if layer.weight is None:
        raise TypeError(f"{layer.name}: {layer.kind} has no weights")
    weight, axis = layer.weight, channel_axis(layer, granularity)
    channels = weight.shape[3 if layer.kind == "depthwise" else 0]
    bias = np.zeros(channels, np.float32) if layer.bias is None else layer.bias
    rows = weight.reshape(1, -1) if axis is None else np.moveaxis(weight, axis, 0)
    rows = rows.reshape(len(rows), -1)
    limit = WEIGHT_LIMITS[bits]
    if peaks is None or len(peaks) != len(rows):
        peaks = weight_peaks(rows, limit, weight_range)
    scales = safe_scales(peaks / limit, bias, input_scale)
    integers = np.round(weight / along_axis(scales, weight.ndim, axis).astype(np.float64))
    values = np.clip(integers, -limit, limit).astype(np.int8)
    return LayerWeights(real=weight, scales=scales, values=values, bias=bias, bits=bits, axis=axis)


def averaging_weights(layer: Layer) -> LayerWeights:
    """The depthwise weights by which the pool `layer` averages: integers 1 of scale 1 / count."""
    shape = (1, *layer.filter, layer.shape[-1])
    count, channels = shape[1] * shape[2], shape[3]
    return LayerWeights(
        real=np.full(shape, 1 / count, np.float32),
        scales=np.full(channels, 1 / count, np.float32),
        values=np.ones(shape, np.int8),
        bias=np.zeros(channels, np.float32),
        bits=8,
        axis=3,
    )


def constant_grid(values: Array) -> Grid:
    """The symmetric 8-bit grid of a constant operand of a sum or product."""
    peak = float(np.abs(values).max(initial=0.0))
    return Grid(float(np.float32(peak / WEIGHT_LIMITS[8])) or 1.0, 0, 8)


def weight_peaks(rows: Array, limit: int, weight_range: WeightRange) -> Array:
    """The magnitude that the integer `limit` represents, for each row of weights (rows, weights).

    "max": the row's largest magnitude. "mse": the share of it (grid search over `_RATIOS`) with the
    least squared error of rounding and clipping (arXiv:2106.08295, section 3.1).
    """
    peaks: Array = np.abs(rows).max(axis=1)
    if weight_range == "max":
        return peaks
    scales = np.where(peaks > 0, peaks, 1.0)[:, np.newaxis] * (_RATIOS / limit)
    errors = np.empty(scales.shape)
    for column, scale in enumerate(scales.T[..., np.newaxis]):
        rounded = np.clip(np.round(rows / scale), -limit, limit) * scale
        errors[:, column] = ((rounded - rows) ** 2).sum(axis=1)
    best: Array = peaks * _RATIOS[errors.argmin(axis=1)]
    return best


def safe_scales(scales: Array, bias: Array, input_scale: float) -> Array:
    """`scales` as float32, enlarged where a channel's bias would not fit into int32.

    The bias has the scale input_scale * scale, so |bias| / (input_scale * scale) <= 2**30 must
    hold. A scale whose product with `input_scale` is below the smallest normal float32 belongs to
    a channel whose weights are (nearly) all zero; it is replaced by 1/127, as any scale will do.
    """
    needed = np.abs(bias) / (input_scale * _MAX_BIAS)
    needed = needed if len(scales) == len(bias) else needed.max(keepdims=True)
    scales = np.maximum(scales, needed)
    vanishing = scales * input_scale < np.finfo(np.float32).tiny
    return np.where(vanishing, 1.0 / 127, scales).astype(np.float32)


def integer_bias(weights: LayerWeights, input_scale: float) -> tuple[Array, Array]:
    """The bias as int32 (channels,) and its float32 scales, input scale * weight scales.

    Bias correction runs after the scales are chosen and can push a bias beyond 2**30; it is then
    clipped. Raises Infeasible for a bias that is not finite.
    """
    if not np.isfinite(weights.bias).all():
        raise Infeasible("a bias is not finite; training diverged")
    scales = np.float32(input_scale) * weights.scales
    integers = np.clip(np.round(weights.bias / scales.astype(np.float64)), -_MAX_BIAS, _MAX_BIAS)
    return integers.astype(np.int32), scales
