"""The metrics of each type of task by name; the first is the type's default."""

from __future__ import annotations

from compress.errors import UserError
from compress.metrics import autoencoder, classification, multi_label, regression, segmentation
from compress.types import Metric, Task, TaskType

METRICS: dict[TaskType, tuple[Metric, ...]] = {
    "classification": classification.CLASSIFICATION,
    "multi_label": multi_label.MULTI_LABEL,
    "regression": regression.REGRESSION,
    "autoencoder": autoencoder.AUTOENCODER,
    "segmentation": segmentation.SEGMENTATION,
}


def metric_of(task: Task) -> Metric:
    """The task's own metric, or the default of its type."""
    return METRICS[task.type][0] if task.metric is None else task.metric


def metric_named(name: str, task_type: TaskType) -> Metric:
    """The metric of a type by name. Raises UserError for a name that the type does not have."""
    found = {metric.name: metric for metric in METRICS[task_type]}
    if name not in found:
        raise UserError(
            f"metric {name!r}: a task of type {task_type} allows {', '.join(found)}, or a function "
            "of your own"
        )
    return found[name]
