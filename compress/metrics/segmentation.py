"""Metrics of maps of classes: outputs are logits (N, classes, H, W), y is int64 (N, H, W)."""

from __future__ import annotations

import numpy as np

from compress.metrics.confusion import confusion, mean_intersection_over_union
from compress.types import Array, Metric


def _mean_iou(outputs: Array, y: Array, x: Array) -> float:
    """The mean intersection over union of the classes that y or the answers have."""
    return mean_intersection_over_union(confusion(outputs.argmax(1), y))


def _pixel_accuracy(outputs: Array, y: Array, x: Array) -> float:
    """The share of positions whose largest logit is that of their class."""
    return float(np.mean(outputs.argmax(1) == y))


SEGMENTATION = (
    Metric("mean_iou", "higher", _mean_iou),
    Metric("pixel_accuracy", "higher", _pixel_accuracy),
)
