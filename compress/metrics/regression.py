"""Metrics of predicted numbers: outputs and y are float32 (N, K)."""

from __future__ import annotations

import math

import numpy as np

from compress.types import Array, Metric


def _mae(outputs: Array, y: Array, x: Array) -> float:
    """The mean absolute error over samples and numbers, in the unit of y."""
    return float(np.mean(np.abs(_errors(outputs, y))))


def _rmse(outputs: Array, y: Array, x: Array) -> float:
    """The root of the mean squared error over samples and numbers, in the unit of y."""
    return math.sqrt(float(np.mean(_errors(outputs, y) ** 2)))


def _r2(outputs: Array, y: Array, x: Array) -> float:
    """The coefficient of determination, 1 - squared errors / squared deviations, mean over K.

    A number that does not vary in y counts as 1 if it is always predicted exactly, else as 0.
    """
    errors = np.sum(_errors(outputs, y) ** 2, 0)
    deviations = np.sum((y - y.mean(0, dtype=np.float64)) ** 2, 0)
    varies = deviations > 0
    explained = 1.0 - errors / np.where(varies, deviations, 1.0)
    return float(np.mean(np.where(varies, explained, errors == 0)))


def _errors(outputs: Array, y: Array) -> Array:
    errors: Array = outputs.astype(np.float64) - y
    return errors


REGRESSION = (
    Metric("mae", "lower", _mae),
    Metric("rmse", "lower", _rmse),
    Metric("r2", "higher", _r2),
)
