"""The area under the receiver operating characteristic."""

from __future__ import annotations

import math

import numpy as np

from compress.types import Array


def area_under_curve(scores: Array, positive: Array) -> float:
    """The probability that a positive sample has a larger score than a negative one, ties half.

    `scores` (N,) and `positive` (N,), true for positive samples. This is the Mann-Whitney statistic
    U / (n1 * n0), computed from mean ranks. NaN if either kind of sample is missing.
    """
    chosen = np.asarray(positive, bool)
    positives = int(chosen.sum())
    negatives = len(chosen) - positives
    if positives == 0 or negatives == 0:
        return math.nan
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    ranks = float(mean_ranks[inverse][chosen].sum())
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives)
