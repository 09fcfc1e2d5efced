"""Metrics of classifiers: outputs are logits (N, classes), y is int64 (N,)."""

from __future__ import annotations

import numpy as np

from compress.metrics.confusion import confusion, mean_f1, mean_recall
from compress.types import Array, Metric


def _accuracy(outputs: Array, y: Array, x: Array) -> float:
    """The share of samples whose largest logit is that of their class."""
    return float(np.mean(outputs.argmax(1) == y))


def _balanced_accuracy(outputs: Array, y: Array, x: Array) -> float:
    """The mean recall of the classes that y has."""
    return mean_recall(confusion(outputs.argmax(1), y))


def _f1(outputs: Array, y: Array, x: Array) -> float:
    """The mean F1 of the classes (macro) that y or the answers have."""
    return mean_f1(confusion(outputs.argmax(1), y))


CLASSIFICATION = (
    Metric("accuracy", "higher", _accuracy),
    Metric("balanced_accuracy", "higher", _balanced_accuracy),
    Metric("f1", "higher", _f1),
)
