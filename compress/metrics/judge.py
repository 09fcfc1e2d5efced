"""Values of metrics: computed with checks, and their standard errors."""

from __future__ import annotations

import math

import numpy as np

from compress.errors import UserError
from compress.types import Array, Metric

_RESAMPLES = 200
_MOST_SAMPLES = 2000
# What a user's function raises for arrays that it does not expect.
_ERRORS = (ArithmeticError, AttributeError, LookupError, NameError, TypeError, ValueError)


def value_of(metric: Metric, outputs: Array, y: Array, x: Array) -> float:
    """The metric's value. Raises UserError if it cannot be computed or is not finite."""
    try:
        value = float(metric.compute(outputs, y, x))
    except _ERRORS as error:
        raise UserError(
            f"metric {metric.name}: {type(error).__name__}: {error}; it got outputs "
            f"{outputs.dtype} {outputs.shape}, y {y.dtype} {y.shape} and x {x.dtype} {x.shape}, "
            "and must return a number"
        ) from error
    if not math.isfinite(value):
        raise UserError(
            f"metric {metric.name}: its value on {len(y)} samples is {value}; every split must "
            "have samples of each kind that the metric needs"
        )
    return value


def standard_error(metric: Metric, outputs: Array, y: Array, x: Array, seed: int = 0) -> float:
    """The standard error of a metric by the bootstrap (Efron 1979, doi:10.1214/aos/1176344552).

    It is the deviation over 200 resamples, drawn with replacement by a generator of `seed`. Of many
    samples each resample has 2,000, and the deviation is scaled to the number there are. Resamples
    on which the metric is undefined do not count. It is at least the part that one sample has of
    the value, so that it is not 0 where every sample is right.
    """
    count = len(y)
    drawn = min(count, _MOST_SAMPLES)
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(_RESAMPLES):
        chosen = rng.integers(0, count, drawn)
        try:
            values.append(value_of(metric, outputs[chosen], y[chosen], x[chosen]))
        except UserError:
            continue  # as a resample without any anomalous sample
    least = abs(value_of(metric, outputs, y, x)) / count
    return max(float(np.std(values or [0.0])) * math.sqrt(drawn / count), least)
