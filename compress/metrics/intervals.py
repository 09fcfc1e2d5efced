"""How far figures of finite samples can be believed: intervals and standard errors.

An accuracy's interval is Wilson's (1927), which holds near 100 %, too. Two networks that answer the
same samples are compared in pairs: their difference depends only on the samples that one of them
has right and the other wrong (McNemar 1947, doi:10.1007/BF02295996).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
# Of a normal distribution, on both sides, for this confidence.
_DEVIATIONS = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


@dataclass(frozen=True, slots=True)
class Interval:
    """The ends of an interval that holds the true value with a probability of `CONFIDENCE`."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def share_interval(share: float, samples: int) -> Interval:
    """Wilson's interval of a share (0..1) that was counted on `samples`.

    With z deviations and a counted share p of n: (p + z²/2n ± z sqrt(p (1 - p) / n + z²/4n²)) /
    (1 + z²/n). `scipy.stats.binomtest` has it, too, and takes a second to import.
    """
    counted, spread = round(share * samples) / samples, _DEVIATIONS**2 / samples
    center = counted + spread / 2
    reach = math.sqrt(spread * (counted * (1 - counted) + spread / 4))
    low = (center - reach) / (1 + spread) if counted > 0 else 0.0  # not off by a rounding
    high = (center + reach) / (1 + spread) if counted < 1 else 1.0
    return Interval(low, high)


def normal_interval(value: float, error: float) -> Interval:
    """The interval of a value with this standard error."""
    return Interval(value - _DEVIATIONS * error, value + _DEVIATIONS * error)


def expected_difference_error(share: float, samples: int) -> float:
    """The standard error of a difference of two accuracies near `share` before any is known.

    Of networks that err independently of each other: sqrt(2 p (1 - p) / N). A compressed network
    mostly errs where its original does, and the error is then smaller (`difference_error`).
    """
    return math.sqrt(2 * share * (1 - share) / samples)


def difference_error(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    """The standard error of a difference of two accuracies on the same samples, paired.

    `first` and `second` bool (N,) are true where a network is right. With the shares b and c of
    samples that only one or only the other has right it is sqrt((b + c - (b - c)**2) / N), one
    sample being added to each so that it is not 0 where both always agree (Bonett and Price 2012,
    doi:10.3102/1076998611411915).
    """
    total = len(first) + 2
    only_first = (int(np.sum(first & ~second)) + 1) / total
    only_second = (int(np.sum(second & ~first)) + 1) / total
    return math.sqrt((only_first + only_second - (only_first - only_second) ** 2) / total)
