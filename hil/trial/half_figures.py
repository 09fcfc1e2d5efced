"""The figures of a network on the two halves of the judged samples, with standard errors."""

from __future__ import annotations

from math import sqrt

import numpy as np
import numpy.typing as npt

from compress.errors import UserError
from compress.metrics.intervals import difference_error
from compress.pipeline.network import Original
from compress.splits import halves
from compress.types import Array, Split
from hil.figures import HalfFigures

_RESAMPLES = 60  # of the bootstrap: a standard error of them has an error of a tenth


def half_figures(original: Original, answers: Array | None) -> tuple[HalfFigures, ...]:
    """The figures of `answers` (N, ...) on the screening and the judging half, in this order.

    Errors of accuracies are binomial, that of a paired difference is McNemar's; those of other
    metrics are from a bootstrap of pairs. Empty without answers, and where the metric is not
    defined on a half.
    """
    if answers is None:
        return ()
    val, floats = original.judged, original.judged_answers
    numbered = Split(np.arange(len(val)), val.y)
    try:
        return tuple(
            _figures(original, Split(val.x[half.x], half.y), answers[half.x], floats[half.x])
            for half in halves(numbered)
        )
    except UserError:  # an AUC without anomalous samples, say
        return ()


def _figures(original: Original, half: Split, answers: Array, floats: Array) -> HalfFigures:
    judge = original.judge
    accuracy, float_accuracy = judge.share(answers, half), judge.share(floats, half)
    if judge.metric.name == "accuracy" and answers.ndim == 2 and half.y.ndim == 1:
        right, float_right = answers.argmax(1) == half.y, floats.argmax(1) == half.y
        error, drop_error = _binomial(right), difference_error(right, float_right)
    else:
        error, drop_error = _bootstrap(original, half, answers, floats)
    return HalfFigures(accuracy, error, float_accuracy - accuracy, drop_error)


def _binomial(right: npt.NDArray[np.bool_]) -> float:
    """The standard error of a share; never 0, as a network without errors may make some elsewhere.

    One error more and one right answer more are added (Agresti and Coull 1998).
    """
    count = len(right) + 2
    share = (int(right.sum()) + 1) / count
    return sqrt(share * (1 - share) / count)


def _bootstrap(
    original: Original, half: Split, answers: Array, floats: Array
) -> tuple[float, float]:
    """Standard deviations of the metric and of its difference over resampled halves."""
    rng, judge = np.random.default_rng(0), original.judge
    shares, drops = [], []
    for _ in range(_RESAMPLES):
        drawn = rng.integers(0, len(half), len(half))
        split = Split(half.x[drawn], half.y[drawn])
        try:
            share, float_share = (
                judge.share(answers[drawn], split),
                judge.share(floats[drawn], split),
            )
        except UserError:
            continue  # these samples do not define it
        shares.append(share)
        drops.append(float_share - share)
    if len(shares) < _RESAMPLES / 2:
        raise UserError("the metric is not defined on half of the resamples")
    return float(np.std(shares, ddof=1)), float(np.std(drops, ddof=1))
