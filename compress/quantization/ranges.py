"""Activation ranges by calibration: minmax, percentile, mean squared error or entropy.

Each method chooses the range from a histogram of an activation's values, which
`compress.quantization.fake_quantize` records by running the float network. NumPy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compress.genome import Quantize
from compress.quantization.scheme import Grid
from compress.types import Array

Range = tuple[float, float]

# Bins of a histogram: 8 for each step of an 8-bit grid that spans the observed values.
BINS = 2048
# Candidates for either end of a clipped range, as shares of the observed end: 2 % to 100 %.
_SHARES = np.linspace(0.02, 1.0, 99)
# Distance of the thresholds that entropy calibration tries, in bins.
_ENTROPY_STRIDE = 8
# Probability in place of 0 for a bin that the rounded distribution leaves empty although clipped
# values were added to it: keeps the divergence finite.
_NEVER = 1e-4
# The largest share of (nonzero) values that entropy calibration may clip.
_MOST_CLIPPED = 0.01


def grid_for_range(ends: Range, bits: int, symmetric: bool) -> Grid:
    """The grid of 8 or 16 bits that represents `ends` (low, high) and zero.

    Asymmetric: scale = (high - low) / 255 and zero point = -128 - low / scale (equations 7-8 of
    arXiv:2106.08295). Symmetric, and always with 16 bits: scale = largest magnitude / 127 (32767)
    and zero point 0; the output of a ReLU then leaves the negative half unused. The scale is a
    float32 value, as in the integer graph.
    """
    if symmetric or bits == 16:
        return Grid(_scale(max(map(abs, ends)), 2 ** (bits - 1) - 1), 0, bits)
    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    scale = _scale(high - low, 255)
    return Grid(scale, int(np.clip(round(-128 - low / scale), -128, 127)), bits)


def _scale(span: float, steps: int) -> float:
    """`span` / `steps` in float32, or a positive stand-in where that is 0: all values are zero."""
    return float(np.float32(span / steps)) or 1.0 / steps


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """A histogram of an activation: smallest and largest value, zeros, and counts by bin.

    `counts` is int64 (BINS,), in bins of equal width from `low` to `high`. Exact zeros are counted
    apart in `zeros`: every grid represents zero without error, and a ReLU makes so many zeros that
    they would outweigh all other values.
    """

    low: float
    high: float
    zeros: int
    counts: Array

    @property
    def centers(self) -> Array:
        """The center of each bin, float64 (BINS,)."""
        width = (self.high - self.low) / len(self.counts)
        return self.low + (np.arange(len(self.counts)) + 0.5) * width


def calibrated_range(seen: Histogram, spec: Quantize, bits: int) -> Range:
    """The range (low, high) that `spec.calibration` chooses for a grid of `bits`.

    With 16 bits, "kl" and "mse" are the same as "minmax": rounding to 65,535 steps costs less than
    any clipping.
    """
    if seen.low == seen.high:
        return seen.low, seen.high
    match spec.calibration:
        case "percentile":
            return percentile_range(seen, spec.percentile)
        case "mse" if bits == 8:
            return mse_range(seen, spec.symmetric)
        case "kl" if bits == 8:
            return entropy_range(seen, spec.symmetric)
        case _:
            return seen.low, seen.high


def percentile_range(seen: Histogram, percentile: float) -> Range:
    """The range that covers `percentile` % of the values, with equal shares cut off at both ends.

    "Percentile" calibration of arXiv:2004.09602; zeros count as values. The cumulative
    distribution is interpolated linearly within a bin.
    """
    if percentile >= 100.0:
        return seen.low, seen.high
    edges = np.linspace(seen.low, seen.high, len(seen.counts) + 1)
    below = np.concatenate([[0], np.cumsum(seen.counts)]).astype(np.float64)
    zeros_below = np.where(edges > 0, seen.zeros, 0)
    shares = (below + zeros_below) / (below[-1] + seen.zeros)
    tail = (100.0 - percentile) / 200.0
    low, high = np.interp((tail, 1.0 - tail), shares, edges)
    return float(low), float(high)


def mse_range(seen: Histogram, symmetric: bool) -> Range:
    """The clipped range with the least expected squared error of 8-bit rounding and clipping.

    "MSE" calibration of arXiv:2106.08295, section 3.1, by grid search over `_SHARES` of both ends.
    Expected squared error of one value: inside the range step**2 / 12, the variance of a rounding
    error uniform in -step / 2 .. step / 2; outside it the squared distance to the nearer end.
    The rounding term counts clipped values too, a slight overestimate. Zeros cost nothing.
    """
    x, counts = seen.centers, seen.counts.astype(np.float64)
    total = counts.sum()
    lows, highs = min(seen.low, 0.0) * _SHARES, max(seen.high, 0.0) * _SHARES
    if symmetric:
        peaks = max(-lows[-1], highs[-1]) * _SHARES
        cost = _clipping_error(np.abs(x), counts, peaks) + total * (peaks / 127) ** 2 / 12
        peak = float(peaks[cost.argmin()])
        return max(seen.low, -peak), min(seen.high, peak)
    # The cost of both ends together: (candidates for low, candidates for high).
    below, above = _clipping_error(-x, counts, -lows), _clipping_error(x, counts, highs)
    steps = (highs[np.newaxis] - lows[:, np.newaxis]) / 255
    cost = below[:, np.newaxis] + above[np.newaxis] + total * steps**2 / 12
    low, high = np.unravel_index(cost.argmin(), cost.shape)
    return float(lows[low]), float(highs[high])


def _clipping_error(x: Array, counts: Array, limits: Array) -> Array:
    """Total squared error of clipping values x (bins,), with `counts`, at each upper limit."""
    excess = np.maximum(x[np.newaxis] - limits[:, np.newaxis], 0.0)
    clipped: Array = (excess**2) @ counts
    return clipped


def entropy_range(seen: Histogram, symmetric: bool) -> Range:
    """The range whose clipping threshold loses the least information.

    Entropy calibration of TensorRT (S. Migacz, "8-bit Inference with TensorRT", GTC 2017): the
    threshold on magnitudes with the smallest KL(values || rounded values). Values of one sign use
    all 256 levels of an asymmetric grid; otherwise 128 levels remain on either side of zero.

    The divergence ignores how far a clipped value moves: with few distinct values it would clip
    all but one. Thresholds that clip more than 1 % of the nonzero values are therefore not tried.
    """
    peak = max(-seen.low, seen.high)
    if peak <= 0.0:
        return seen.low, seen.high
    one_sided = not symmetric and (seen.low >= 0.0 or seen.high <= 0.0)
    levels = 256 if one_sided else 128
    edges = np.linspace(0.0, peak, len(seen.counts) + 1)
    counts, _ = np.histogram(np.abs(seen.centers), edges, weights=seen.counts.astype(np.float64))
    most = counts.sum() * (1.0 - _MOST_CLIPPED)
    first = max(levels, int(np.searchsorted(np.cumsum(counts), most)) + 1)
    kept = (*range(first, len(counts), _ENTROPY_STRIDE), len(counts))
    losses = [_divergence(counts, bins, levels) for bins in kept]
    threshold = float(edges[kept[int(np.argmin(losses))]])
    return max(seen.low, -threshold), min(seen.high, threshold)


def _divergence(counts: Array, bins: int, levels: int) -> float:
    """KL(p || q) of the threshold after `bins` bins, in nats, rounded to `levels` levels.

    p: the first `bins` counts, with those of the clipped bins added to the last one. q: the same
    bins without the clipped counts, after rounding: each level's count, spread evenly over its
    nonempty bins. Both are normalized to sum to 1.
    """
    p = counts[:bins].copy()
    p[-1] += counts[bins:].sum()
    nonempty = p > 0
    level = np.arange(bins) * levels // bins
    totals = np.bincount(level, counts[:bins], levels)
    members = np.bincount(level, nonempty.astype(np.float64), levels)
    q = (totals / np.maximum(members, 1.0))[level][nonempty]
    p, q = p[nonempty] / p.sum(), q / max(q.sum(), 1.0)
    return float(np.sum(p * np.log(p / np.where(q > 0, q, _NEVER))))
