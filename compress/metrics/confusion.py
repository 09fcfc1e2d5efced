"""Metrics of predicted classes, from the confusion matrix."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compress.types import Array

Counts = npt.NDArray[np.int64]


def confusion(predicted: Array, true: Array) -> Counts:
    """The number of answers by true and predicted class: int64 (classes, classes).

    `predicted` and `true` hold class numbers from 0, of any shape, the same for both.
    """
    classes = int(max(predicted.max(), true.max())) + 1
    pairs = true.astype(np.int64).ravel() * classes + predicted.astype(np.int64).ravel()
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def mean_recall(counts: Counts) -> float:
    """The mean of the recalls of the classes that occur: balanced accuracy."""
    there = counts.sum(1) > 0
    return float(np.mean(np.diag(counts)[there] / counts.sum(1)[there]))


def mean_f1(counts: Counts) -> float:
    """The mean F1, 2 TP / (2 TP + FP + FN), of the classes that occur or are predicted."""
    both = counts.sum(0) + counts.sum(1)
    return float(np.mean(2 * np.diag(counts)[both > 0] / both[both > 0]))


def mean_intersection_over_union(counts: Counts) -> float:
    """The mean of TP / (TP + FP + FN) of the classes that occur or are predicted."""
    hits = np.diag(counts)
    union = counts.sum(0) + counts.sum(1) - hits
    return float(np.mean(hits[union > 0] / union[union > 0]))
