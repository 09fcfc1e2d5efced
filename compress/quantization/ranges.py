"""What range of values an activation's integer grid should span, from a histogram of them.

NumPy only; `compress.quantization.fake_quantize` records the histograms by running the float
network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compress.genome import Quantize
from compress.quantization.scheme import Grid
from compress.types import Array

Range = tuple[float, float]

BINS = 2048
# Candidates for either end of a clipped range, as shares of the observed end.
_SHARES = np.linspace(0.02, 1.0, 99)
# Entropy calibration tries thresholds from as many bins as the grid has steps, this far apart.
_ENTROPY_STRIDE = 8
# The probability of clipped outliers where no other value is rounded to the end of the range.
_NEVER = 1e-4
_MOST_CLIPPED = 0.01


def grid(ends: Range, bits: int, symmetric: bool) -> Grid:
    """The grid of 8 or 16 bits that represents `ends` and zero; 16 bits are always symmetric.

    Equations 7-8 of arXiv:2106.08295. The scale is a float32 value. A symmetric grid has zero
    point 0: of a ReLU's output it leaves the lower half unused.
    """
    if symmetric or bits == 16:
        return Grid(_scale(max(map(abs, ends)), 2 ** (bits - 1) - 1), 0, bits)
    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    scale = _scale(high - low, 255)
    return Grid(scale, int(np.clip(round(-128 - low / scale), -128, 127)), bits)


def _scale(span: float, steps: int) -> float:
    return float(np.float32(span / steps)) or 1.0 / steps


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """The values seen: their ends, how many were exactly zero, and all others in equal bins.

    `counts` int64 (BINS,) between `low` and `high`. Zero is on every grid and costs no error,
    and a ReLU makes so many that they would outweigh all else: hence apart.
    """

    low: float
    high: float
    zeros: int
    counts: Array

    @property
    def centers(self) -> Array:
        width = (self.high - self.low) / len(self.counts)
        return self.low + (np.arange(len(self.counts)) + 0.5) * width


def calibrated_range(seen: Histogram, spec: Quantize, bits: int) -> Range:
    """The range by `spec.calibration`.

    With 16 bits, "kl" and "mse" are "minmax": rounding 65,535 steps costs less than clipping.
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
    """Covers `percentile` % of the values; the same share is cut off at either end.

    "Percentile" of arXiv:2004.09602. Linear within a bin.
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

    arXiv:2106.08295, section 3.1, "MSE". Inside the range the error is that of a uniform
    rounding error, step**2 / 12; outside it is the distance to the end.
    """
    x, counts = seen.centers, seen.counts.astype(np.float64)
    inside = counts.sum()
    lows, highs = min(seen.low, 0.0) * _SHARES, max(seen.high, 0.0) * _SHARES
    if symmetric:
        peaks = max(-lows[-1], highs[-1]) * _SHARES
        cost = _clipped(np.abs(x), counts, peaks) + inside * (peaks / 127) ** 2 / 12
        peak = float(peaks[cost.argmin()])
        return max(seen.low, -peak), min(seen.high, peak)
    below, above = _clipped(-x, counts, -lows), _clipped(x, counts, highs)
    steps = (highs[np.newaxis] - lows[:, np.newaxis]) / 255
    cost = below[:, np.newaxis] + above[np.newaxis] + inside * steps**2 / 12
    low, high = np.unravel_index(cost.argmin(), cost.shape)
    return float(lows[low]), float(highs[high])


def _clipped(x: Array, counts: Array, limits: Array) -> Array:
    """Squared error of cutting x (with counts) off at each of the limits."""
    excess = np.maximum(x[np.newaxis] - limits[:, np.newaxis], 0.0)
    clipped: Array = (excess**2) @ counts
    return clipped


def entropy_range(seen: Histogram, symmetric: bool) -> Range:
    """The range that loses the least information when its magnitudes are clipped and rounded.

    Entropy calibration of TensorRT (S. Migacz, "8-bit Inference with TensorRT", GTC 2017): of all
    thresholds the one with the smallest divergence KL(values || rounded values). A value of one
    sign has 255 steps on an asymmetric grid, others half as many on either side of zero. The
    divergence does not know how far it moves what it clips (of few distinct values it would clip
    all but one): thresholds that clip more than 1 % are not tried.
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
    """KL between the first `bins` counts, with all beyond in the last, and their `levels` steps."""
    p = counts[:bins].copy()
    p[-1] += counts[bins:].sum()
    some = p > 0
    step = np.arange(bins) * levels // bins
    totals = np.bincount(step, counts[:bins], levels)
    members = np.bincount(step, some.astype(np.float64), levels)
    q = (totals / np.maximum(members, 1.0))[step][some]
    p, q = p[some] / p.sum(), q / max(q.sum(), 1.0)
    return float(np.sum(p * np.log(p / np.where(q > 0, q, _NEVER))))
