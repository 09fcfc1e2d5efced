"""The figures of the original float network beside those of the int8 networks, as texts."""

from __future__ import annotations

from dataclasses import dataclass

from compress.metrics.scale import MetricScale
from compress.pipeline.diagnosis import recall_fell
from hil import formatting
from hil.report.summary import Summary


def float_accuracy(summary: Summary, split: str) -> str:
    """The original float network's accuracy on a split; "" if it is not known."""
    share = summary.originals.get(split)
    return "" if share is None else formatting.metric(summary.metric, share)


@dataclass(frozen=True, slots=True)
class ClassRow:
    """The recall of one class by network as texts; unknown ones are "".

    `fell` is true for a recall below the float network's by more than its standard error.
    """

    name: str
    samples: int
    original: str
    baseline: str
    chosen: str
    baseline_fell: bool
    chosen_fell: bool


def class_rows(summary: Summary) -> list[ClassRow]:
    """The recall of each class; empty if those of no int8 network are known."""
    diagnosis = summary.diagnosis
    ours = [summary.right(trial) for trial in (summary.baseline, summary.chosen)]
    if diagnosis is None or not any(ours):
        return []
    unknown = (None,) * len(diagnosis.classes)
    rows = []
    for name, samples, right, *now in zip(
        diagnosis.classes,
        diagnosis.samples,
        diagnosis.right,
        *(right or unknown for right in ours),
        strict=True,
    ):
        texts = [_recall(count, samples) for count in (right, *now)]
        fell = [count is not None and recall_fell(right, count, samples) for count in now]
        rows.append(ClassRow(name, samples, texts[0], texts[1], texts[2], fell[0], fell[1]))
    return rows


def _recall(right: int | None, samples: int) -> str:
    return "" if right is None or not samples else formatting.percent(right / samples)


def other_lines(summary: Summary) -> list[str]:
    """A line on each metric of several outputs beside the one that decides, by network."""
    if summary.diagnosis is None:
        return []
    networks = [("float network", dict(summary.diagnosis.others))]
    for name, trial in (("int8 baseline", summary.baseline), ("chosen", summary.chosen)):
        if trial is not None and trial.measurement is not None:
            networks.append((name, dict(trial.measurement.others)))
    lines = []
    for metric in dict(summary.diagnosis.others):
        scale = MetricScale(metric)
        found = [
            f"{name} {formatting.metric_value(scale, values[metric])}"
            for name, values in networks
            if metric in values
        ]
        lines.append(f"{scale.title} on the validation split: {', '.join(found)}")
    return lines


def float_line(summary: Summary) -> str:
    """The float network's accuracy on the splits for which it is known; "" if on none."""
    found = {name: float_accuracy(summary, name) for name in ("val", "test")}
    names = {"val": "validation", "test": "test"}
    known = [f"{text} on the {names[split]} split" for split, text in found.items() if text]
    return f"float network: {summary.metric.title} {', '.join(known)}" if known else ""
