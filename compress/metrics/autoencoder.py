"""Metrics of reconstructions: outputs have the shape of x, y is int64 (N,), 1 for an anomaly."""

from __future__ import annotations

import numpy as np

from compress.metrics.areas import area_under_curve
from compress.types import Array, Metric


def _reconstruction_errors(outputs: Array, x: Array) -> Array:
    """The mean squared error of each sample: float64 (N,)."""
    errors: Array = (outputs.astype(np.float64) - x).reshape(len(x), -1)
    means: Array = np.mean(errors**2, 1)
    return means


def _auc(outputs: Array, y: Array, x: Array) -> float:
    """The area under the curve that separates anomalous samples by their reconstruction error."""
    return area_under_curve(_reconstruction_errors(outputs, x), y == 1)


def _mse(outputs: Array, y: Array, x: Array) -> float:
    """The mean squared error of the normal samples' reconstructions; NaN if there are none."""
    normal = y == 0
    if not normal.any():
        return float("nan")
    return float(np.mean(_reconstruction_errors(outputs[normal], x[normal])))


AUTOENCODER = (Metric("auc", "higher", _auc), Metric("mse", "lower", _mse))
