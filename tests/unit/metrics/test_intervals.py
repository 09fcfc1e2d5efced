"""Intervals and standard errors against exact sums, simulation and published figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest  # type: ignore[attr-defined]

from compress.metrics.intervals import (
    CONFIDENCE,
    difference_error,
    expected_difference_error,
    normal_interval,
    share_interval,
)


def test_the_published_interval_of_81_of_263() -> None:
    """Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E, table I:
    Wilson's interval without correction is 0.2553 to 0.3662."""
    found = share_interval(81 / 263, 263)
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_an_interval_of_all_right_is_not_empty() -> None:
    found = share_interval(1.0, 360)
    assert (found.high, share_interval(0.0, 360).low) == (1.0, 0.0)
    assert 0.98 < found.low < 0.99
    assert 0.995 in found
    assert 0.97 not in found


@pytest.mark.parametrize("samples", [1, 2, 7, 360])
def test_the_interval_is_scipys_of_any_count(samples: int) -> None:
    for count in range(samples + 1):
        found = share_interval(count / samples, samples)
        wanted = binomtest(count, samples).proportion_ci(CONFIDENCE, "wilson")
        assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-14)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_95_of_100_intervals_hold_the_true_share(share: float) -> None:
    """The exact coverage, by the binomial distribution of the counts."""
    samples = 400
    counts = np.arange(samples + 1)
    logs = [
        math.lgamma(samples + 1)
        - math.lgamma(k + 1)
        - math.lgamma(samples - k + 1)
        + k * math.log(share)
        + (samples - k) * math.log1p(-share)
        for k in counts
    ]
    held = [share in share_interval(int(k) / samples, samples) for k in counts]
    assert float(np.exp(logs) @ held) == pytest.approx(0.95, abs=0.02)


def test_the_paired_error_is_the_deviation_of_the_difference() -> None:
    """Simulated: two networks of which one is right where the other is not on 6 % of samples."""
    rng = np.random.default_rng(0)
    samples, errors, differences = 1440, [], []
    for _ in range(2000):
        drawn = rng.random(samples)
        first, second = drawn > 0.02, (drawn < 0.01) | (drawn > 0.05)
        errors.append(difference_error(first, second))
        differences.append(first.mean() - second.mean())
    assert np.mean(errors) == pytest.approx(np.std(differences), rel=0.05)


def test_equal_answers_have_an_error_above_0() -> None:
    same = np.array([True] * 350 + [False] * 10)
    assert difference_error(same, same) == pytest.approx(math.sqrt(2 / 362 / 362))


def test_the_expected_error_is_that_of_independent_networks() -> None:
    """Exact for independent answers: the variances p (1 - p) / N of both add up."""
    assert expected_difference_error(0.9, 360) == pytest.approx(
        math.sqrt(0.9 * 0.1 / 360 + 0.9 * 0.1 / 360)
    )
    rng = np.random.default_rng(1)
    first, second = rng.random((2, 100_000)) < 0.9
    measured = difference_error(first, second)
    assert measured == pytest.approx(expected_difference_error(0.9, 100_000), rel=0.02)


def test_a_normal_interval() -> None:
    found = normal_interval(0.9, 0.01)
    assert (found.low, found.high) == pytest.approx((0.8804, 0.9196))
