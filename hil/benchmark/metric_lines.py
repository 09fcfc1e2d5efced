"""The metric of a benchmarked network in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.metrics.scale import ACCURACY, MetricScale
from hil import formatting

if TYPE_CHECKING:
    from hil.benchmark.benchmark import BenchmarkResult


def metric_lines(result: BenchmarkResult) -> list[str]:
    """Lines on the samples that ran, the validation split and the float file, where known."""
    metric, lines = result.metric, []
    if result.value is not None and metric != ACCURACY:
        value = formatting.metric_value(metric, result.value)
        lines.append(f"{metric.title} {value} on these {result.compared} samples")
    elif result.accuracy is not None:
        share = formatting.percent(result.accuracy)
        lines.append(f"accuracy {share} on these {result.compared} samples")
    if result.float_accuracy is not None and result.val_accuracy is not None:
        lines.append(
            f"{metric.title} on the whole validation split "
            f"{formatting.metric(metric, result.val_accuracy)}, of the float network "
            f"{formatting.metric(metric, result.float_accuracy)}"
        )
    before = dict(result.float_others)
    for name, other in result.others:
        scale = MetricScale(name)
        line = f"{scale.title} there {formatting.metric_value(scale, other)}"
        if name in before:
            line += f", of the float network {formatting.metric_value(scale, before[name])}"
        lines.append(line)
    if result.comparison is not None:
        lines.append(result.comparison.text)
    return lines
