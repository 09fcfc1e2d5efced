"""Metrics of several labels a sample: outputs are logits (N, K), y is float32 (N, K) of 0 and 1."""

from __future__ import annotations

import numpy as np

from compress.metrics.areas import area_under_curve
from compress.types import Array, Metric


def _f1(outputs: Array, y: Array, x: Array) -> float:
    """The mean F1 of the labels; a label is answered where its logit is above 0.

    A label that neither y nor the answers have counts as 0.
    """
    answered, true = outputs > 0, y > 0
    hits = np.sum(answered & true, 0)
    both = answered.sum(0) + true.sum(0)
    return float(np.mean(2 * hits / np.maximum(both, 1)))


def _mean_auc(outputs: Array, y: Array, x: Array) -> float:
    """The mean area under the curve of the labels that some samples have and others lack.

    NaN if there is no such label.
    """
    columns = [k for k in range(y.shape[1]) if 0 < np.count_nonzero(y[:, k]) < len(y)]
    areas = [area_under_curve(outputs[:, k], y[:, k] > 0) for k in columns]
    return float(np.mean(areas)) if areas else float("nan")


MULTI_LABEL = (Metric("f1", "higher", _f1), Metric("auc", "higher", _mean_auc))
