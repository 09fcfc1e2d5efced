"""Metrics of one of several outputs, called "output.metric": "shape.accuracy"."""

from __future__ import annotations

from compress.types import Array, Metric, Output


def metric_of_output(output: Output, metric: Metric) -> Metric:
    """`metric` of this output, with the names of both."""

    def compute(outputs: Array, y: Array, x: Array) -> float:
        return metric.compute(outputs[output.name], y[output.name], x)

    return Metric(f"{output.name}.{metric.name}", metric.better, compute)
