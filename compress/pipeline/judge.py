"""The evaluation of outputs by a task's metric, as values and as shares where more is better."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compress.errors import UserError
from compress.metrics.classification import CLASSIFICATION
from compress.metrics.intervals import difference_error
from compress.metrics.judge import value_of
from compress.metrics.registry import metric_of, metrics_of_outputs
from compress.metrics.scale import MetricScale
from compress.task_types.registry import rules_of
from compress.task_types.rules import Rules
from compress.types import Array, Dataset, Metric, Split, Task

_ACCURACY = CLASSIFICATION[0]


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """The rules of a task's type, its metric, and the scale of that.

    `constant` is the metric of the best answer that is the same for every sample, on the validation
    split; None if the metric is not defined for it. `others` are the metrics of several outputs
    beside the one that decides.
    """

    rules: Rules
    metric: Metric
    scale: MetricScale
    constant: float | None
    others: tuple[Metric, ...] = ()

    def value(self, outputs: Array, split: Split) -> float:
        """The metric of outputs float32 (N, ...) for a split, in its unit. Raises UserError."""
        return value_of(self.metric, outputs, split.y, split.x)

    def share(self, outputs: Array, split: Split) -> float:
        """`value` as a share where more is better. Raises UserError."""
        return self.scale.share(self.value(outputs, split))

    def drop_error(self, outputs: Array, original: Array, split: Split) -> float | None:
        """The standard error of the accuracy's difference to that of the `original` outputs.

        None for another metric than the accuracy of classes.
        """
        if self.metric != _ACCURACY:
            return None
        return difference_error(outputs.argmax(1) == split.y, original.argmax(1) == split.y)

    def other_values(self, outputs: Array, split: Split) -> tuple[tuple[str, float], ...]:
        """The `others` by name, in their units; those that are not defined are left out."""
        found = []
        for metric in self.others:
            try:
                found.append((metric.name, value_of(metric, outputs, split.y, split.x)))
            except UserError:
                continue  # as an F1 without any sample of a label
        return tuple(found)


def judge_of(task: Task, data: Dataset) -> Judge:
    """The judge of a task with this data.

    Raises UserError for a metric where less is better that is not defined for constant answers, or
    is 0 or less for them: values could not be compared with it.
    """
    rules, metric = rules_of(task), metric_of(task)
    constant = _best_constant(rules, metric, data)
    reference = None
    if metric.better == "lower":
        if constant is None or constant <= 0:
            raise UserError(
                f"task {task.name}: metric {metric.name} is {constant} on the validation split for "
                "the best answer that is the same for every sample; less is better, so that it "
                "must be above 0"
            )
        reference = constant
    others = tuple(one for one in metrics_of_outputs(task) if one.name != metric.name)
    scale = MetricScale(metric.name, metric.better, reference)
    return Judge(rules, metric, scale, constant, others)


def _best_constant(rules: Rules, metric: Metric, data: Dataset) -> float | None:
    """The best value of the type's constant answers on the validation split; None if undefined."""
    val, found = data.val, []
    for answer in rules.constants(data.train):
        outputs = np.broadcast_to(answer, (len(val), *answer.shape))
        try:
            found.append(value_of(metric, outputs, val.y, val.x))
        except UserError:
            continue  # such as a correlation with a constant
    best = min if metric.better == "lower" else max
    return best(found, default=None)
