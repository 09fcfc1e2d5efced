"""The metrics of each type of task by name; the first is the type's default."""

from __future__ import annotations

from collections.abc import Sequence

from compress.errors import UserError
from compress.metrics import autoencoder, classification, multi_label, regression, segmentation
from compress.metrics.outputs import metric_of_output
from compress.types import Metric, Output, Task, TaskType

METRICS: dict[TaskType, tuple[Metric, ...]] = {
    "classification": classification.CLASSIFICATION,
    "multi_label": multi_label.MULTI_LABEL,
    "regression": regression.REGRESSION,
    "autoencoder": autoencoder.AUTOENCODER,
    "segmentation": segmentation.SEGMENTATION,
}


def metric_of(task: Task) -> Metric:
    """The task's own metric, or the default of its type, or that of its first output."""
    if task.metric is not None:
        return task.metric
    return metrics_of_outputs(task)[0] if task.outputs else METRICS[task.type][0]


def metrics_of_outputs(task: Task) -> tuple[Metric, ...]:
    """The default metric of each of several outputs; none for one output."""
    return tuple(metric_of_output(one, METRICS[one.type][0]) for one in task.outputs)


def is_known(task: Task, metric: Metric) -> bool:
    """True for a metric of the task's type or of one of its outputs, False for a user's own."""
    if task.outputs:
        return "." in metric.name
    return metric in METRICS[task.type]


def output_metric_named(name: str, outputs: Sequence[Output]) -> Metric:
    """The metric "output.metric" of several outputs, or that of "output", its type's default.

    Raises UserError for a name that they do not have.
    """
    found, _, of_type = name.partition(".")
    output = next((one for one in outputs if one.name == found), None)
    if output is None:
        raise UserError(
            f"metric {name!r}: must be one of an output, such as {outputs[0].name}."
            f"{METRICS[outputs[0].type][0].name}, or a function of your own; outputs are "
            f"{', '.join(one.name for one in outputs)}"
        )
    metric = metric_named(of_type, output.type) if of_type else METRICS[output.type][0]
    return metric_of_output(output, metric)


def metric_named(name: str, task_type: TaskType) -> Metric:
    """The metric of a type by name. Raises UserError for a name that the type does not have."""
    found = {metric.name: metric for metric in METRICS[task_type]}
    if name not in found:
        raise UserError(
            f"metric {name!r}: a task of type {task_type} allows {', '.join(found)}, or a function "
            "of your own"
        )
    return found[name]
