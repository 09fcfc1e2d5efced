"""Whether networks keep their floor on the test split, which chose nothing, and how sure that is.

The validation split chose the network: its accuracy there is too good on average. So only the test
split says whether the floor is kept, with an interval of 95 %: of the accuracy, or, where the floor
is a distance to the float network, of the drop that was measured in pairs on the same samples.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from compress.metrics.intervals import (
    Interval,
    expected_difference_error,
    normal_interval,
    share_interval,
)
from compress.metrics.scale import ACCURACY
from hil import formatting
from hil.report.summary import Summary
from hil.types import Trial


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A network's figures on the test split; all are shares where more is better.

    `interval` is that of `accuracy`, None where it is not known. `floor` is that of the goal, for
    the float network's value on this split where it is a distance to that. `is_certain` is true if
    the interval lies on one side of the floor. `drop` is the float network's accuracy less the
    network's, `drop_error` its standard error.
    """

    accuracy: float
    floor: float
    samples: int | None = None
    interval: Interval | None = None
    is_certain: bool = False
    drop: float | None = None
    drop_error: float | None = None

    @property
    def keeps_floor(self) -> bool:
        return self.accuracy >= self.floor


def confirmation_of(summary: Summary, trial: Trial | None) -> Confirmation | None:
    """The trial's figures on the test split; None if they were not taken."""
    final = summary.final(trial)
    if final is None:
        return None
    original, accuracy = summary.originals.get("test"), final.accuracy
    floor = _floor(summary, original)
    interval = None
    if summary.metric == ACCURACY and final.samples is not None:
        interval = share_interval(accuracy, final.samples)
    decides = interval
    if _is_relative(summary) and final.drop_error is not None:
        decides = normal_interval(accuracy, final.drop_error)
    return Confirmation(
        accuracy=accuracy,
        floor=floor,
        samples=final.samples,
        interval=interval,
        is_certain=decides is not None and floor not in decides,
        drop=None if original is None else original - accuracy,
        drop_error=final.drop_error,
    )


def _is_relative(summary: Summary) -> bool:
    return summary.goal.floor is not None and summary.goal.floor.kind != "absolute"


def _floor(summary: Summary, original: float | None) -> float:
    """The floor on the test split: a distance counts from the float network's value there."""
    goal, metric = summary.goal, summary.metric
    if goal.floor is None or not _is_relative(summary) or original is None:
        return goal.accuracy
    return goal.floor.share(metric, metric.value(original))


def lines(summary: Summary) -> list[str]:
    """What the test split says of the chosen network, and how exact the validation split is."""
    return [*filter(None, (_confirmed(summary), _validation_line(summary)))]


def _confirmed(summary: Summary) -> str:
    found = confirmation_of(summary, summary.chosen)
    if found is None:
        return ""
    metric = summary.metric
    value, floor = (formatting.metric(metric, one) for one in (found.accuracy, found.floor))
    on = "the test samples" if found.samples is None else f"{found.samples:,} test samples"
    within = "" if found.is_certain or found.interval is None else ", within the error"
    keeps = "keeps" if found.keeps_floor else "does not keep"
    return (
        f"On {on}, which decided nothing, the chosen network {keeps} the floor of {floor}{within}: "
        f"{metric.title} {value}{_interval(found.interval)}{_drop(found)}."
    )


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f" (95 % interval {interval_text(interval)})"


def interval_text(interval: Interval) -> str:
    """The ends of an interval of an accuracy: `96.7 to 97.4 %`."""
    return f"{100 * interval.low:.1f} to {formatting.percent(interval.high, 1)}"


def _drop(found: Confirmation) -> str:
    if found.drop is None or found.drop_error is None:
        return ""
    way = "less" if found.drop >= 0 else "more"
    return (
        f", {100 * abs(found.drop):.2f} points {way} than the float network on the same samples "
        f"(standard error {100 * found.drop_error:.2f})"
    )


def _validation_line(summary: Summary) -> str:
    """The precision of the figures that decided; "" where it is not known."""
    facts = standard_errors(summary)["validation"]
    if summary.chosen is None or summary.chosen.accuracy is None or facts["samples"] is None:
        return ""
    interval = share_interval(summary.chosen.accuracy, facts["samples"])
    error, how = facts["difference"], "at most "
    if facts["measured_drop"] is not None:
        error, how = facts["measured_drop"], ""
    return (
        f"The search compared networks on {facts['samples']:,} validation samples. The chosen one "
        f"has {interval_text(interval)} there (95 % interval), with a standard error of {how}"
        f"{100 * error:.2f} points of its difference to the float network; chosen by these "
        "samples, it is likely less good on others."
    )


def standard_errors(summary: Summary) -> dict[str, dict[str, Any]]:
    """For validation and test: samples, and standard errors of differences, as shares; JSON.

    "difference" is that of two networks as good as the float network that err independently, an
    upper limit that follows from the sizes; "measured_drop" that of the chosen network's difference
    to the float network, in pairs. None where the metric is not accuracy, or a size is unknown.
    """
    final, chosen = summary.final(summary.chosen), summary.chosen
    count = None if summary.diagnosis is None else summary.diagnosis.count
    if summary.metric != ACCURACY:
        count = None
    measured = chosen.measurement.drop_error if chosen and chosen.measurement else None
    return {
        "validation": _errors(summary, "val", count, measured),
        "test": _errors(
            summary,
            "test",
            None if final is None else final.samples,
            None if final is None else final.drop_error,
        ),
    }


def _errors(
    summary: Summary, split: str, samples: int | None, measured: float | None
) -> dict[str, Any]:
    original, difference = summary.originals.get(split), None
    if samples and original is not None and summary.metric == ACCURACY:
        difference = expected_difference_error(original, samples)
    return {"samples": samples, "difference": difference, "measured_drop": measured}


def to_json(summary: Summary) -> dict[str, Any]:
    """The confirmation of each network with figures on the test split, by number, and errors."""
    found = {final.number for final in summary.finals}
    trials = [trial for trial in summary.trials if trial.number in found]
    pairs = ((trial.number, confirmation_of(summary, trial)) for trial in trials)
    return {
        "confirmations": {
            str(number): {**asdict(one), "keeps_floor": one.keeps_floor}
            for number, one in pairs
            if one is not None
        },
        "standard_errors": standard_errors(summary),
    }
