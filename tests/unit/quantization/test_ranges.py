"""Calibrated ranges, compared by the quantization error on the values themselves."""

from dataclasses import replace

import numpy as np
import pytest

from compress.genome import Calibration, Quantize
from compress.quantization.ranges import (
    BINS,
    Histogram,
    calibrated_range,
    grid_for_range,
    mse_range,
    percentile_range,
)
from compress.quantization.scheme import Grid
from compress.types import Array


def histogram(x: Array) -> Histogram:
    others = x[x != 0]
    counts, _ = np.histogram(others, BINS, (x.min(), x.max()))
    return Histogram(float(x.min()), float(x.max()), len(x) - len(others), counts)


def squared_error(x: Array, made: Grid) -> float:
    whole = np.clip(np.round(x / made.scale) + made.zero_point, made.lowest, made.highest)
    return float(np.mean((x - (whole - made.zero_point) * made.scale) ** 2))


def values(kind: str, size: int = 40_000) -> Array:
    rng = np.random.default_rng(5)
    match kind:
        case "relu with outliers":
            x = np.maximum(rng.normal(0, 1, size), 0)
            x[:20] = 60.0
        case "laplace":
            x = rng.laplace(0, 1, size)
        case "lopsided":
            x = np.concatenate([-rng.exponential(0.2, size), rng.exponential(2.0, size)])
        case _:
            x = rng.uniform(-1, 3, size)
    return x.astype(np.float32)


KINDS = ("relu with outliers", "laplace", "lopsided", "uniform")


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_range_of_least_squared_error_is_as_good_as_a_search_over_the_values(
    kind: str, symmetric: bool
) -> None:
    x = values(kind)
    found = squared_error(x, grid_for_range(mse_range(histogram(x), symmetric), 8, symmetric))
    shares = np.linspace(0.05, 1.0, 39)
    tried = [(x.min() * a, x.max() * b) for a in shares for b in shares]
    if symmetric:
        tried = [(x.min() * a, x.max() * a) for a in shares]
    best = min(squared_error(x, grid_for_range(ends, 8, symmetric)) for ends in tried)
    assert found <= best * 1.03
    assert found <= squared_error(x, grid_for_range((x.min(), x.max()), 8, symmetric)) * 1.005


def test_a_percentile_is_that_of_all_values_zeros_included() -> None:
    x = values("relu with outliers")
    low, high = percentile_range(histogram(x), 99.0)
    assert low == pytest.approx(0.0, abs=float(x.max()) / BINS)
    assert high == pytest.approx(np.quantile(x, 0.995), abs=1.5 * float(x.max()) / BINS)
    assert percentile_range(histogram(x), 100.0) == (x.min(), x.max())


def test_entropy_calibration_cuts_rare_outliers_and_keeps_even_values() -> None:
    spec = Quantize(calibration="kl")
    low, high = calibrated_range(histogram(values("relu with outliers")), spec, 8)
    assert low == 0.0
    assert 3.0 < high < 30.0  # the outliers, 20 of 40,000 values, are at 60
    # 17 levels, of which the divergence alone would keep one.
    pixels = np.repeat(np.linspace(-1, 1, 17), 100)
    assert calibrated_range(histogram(pixels), spec, 8) == (-1.0, 1.0)
    even = values("uniform")
    low, high = calibrated_range(histogram(even), spec, 8)
    assert low == pytest.approx(-1.0, abs=0.05)
    assert high == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize("calibration", ["minmax", "percentile", "mse", "kl"])
@pytest.mark.parametrize("x", [np.zeros(9), np.full(9, 2.5), np.full(9, -2.5), np.eye(9)[0]])
def test_constants_and_few_distinct_values_have_a_range(calibration: Calibration, x: Array) -> None:
    seen = histogram(x.astype(np.float32))
    if x.min() == x.max():
        seen = replace(seen, counts=np.zeros(BINS, np.int64))  # as recorded for a constant
    for symmetric in (False, True):
        spec = Quantize(calibration=calibration, symmetric=symmetric)
        low, high = calibrated_range(seen, spec, 8)
        assert x.min() <= low <= high <= x.max()
        assert grid_for_range((low, high), 8, symmetric).scale > 0


def test_sixteen_bits_are_not_clipped_by_error() -> None:
    seen = histogram(values("laplace"))
    for calibration in ("mse", "kl"):
        spec = Quantize(calibration=calibration)  # type: ignore[arg-type]
        assert calibrated_range(seen, spec, 16) == (seen.low, seen.high)
