"""What a report says about a run, in words: the same on the terminal and in report.html."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields

from hil import pareto, words
from hil.summary import Summary
from hil.types import COUNTER_UNITS, Measurement, Provenance, Sizes, Trial

_STOPPED = {
    "": "not finished",
    "target": "stopped: target met and the front no longer improves",
    "trials": "stopped: all trials of the budget used",
    "minutes": "stopped: all minutes of the budget used",
    "exhausted": "stopped: the engine has nothing left to try",
    "interrupt": "stopped: interrupted",
}


@dataclass(frozen=True, slots=True)
class Cost:
    """One measured cost of a trial: its value, and its ratio to the int8 baseline if there is one.

    Both are text; flash and RAM are in KiB.
    """

    value: str
    ratio: str


@dataclass(frozen=True, slots=True)
class Row:
    """A trial as tables show it; what is not known is empty."""

    number: int
    stages: str
    order: str
    details: str
    accuracy: str
    device: str
    test: str
    flash: Cost
    ram: Cost
    count: Cost
    score: str
    reason: str
    meets_target: bool
    is_chosen: bool
    is_baseline: bool
    is_on_front: bool

    @property
    def mark(self) -> str:
        return "★" * self.is_chosen + "•" * self.is_baseline


def row(summary: Summary, trial: Trial) -> Row:
    """The trial in text."""
    measurement, final = trial.measurement, summary.final(trial)
    base = summary.baseline and summary.baseline.measurement

    def cost(value: Callable[[Measurement], int], shown: Callable[[float], str]) -> Cost:
        if measurement is None:
            return Cost("", "")
        ratio = words.times(value(measurement) / value(base)) if base else ""
        return Cost(shown(value(measurement)), ratio)

    return Row(
        number=trial.number,
        stages=words.stages(trial.genome),
        order=trial.genome.order,
        details=words.details(trial.genome),
        accuracy="" if trial.accuracy is None else words.percent(trial.accuracy),
        device=f"{measurement.correct}/{measurement.total}" if measurement else "",
        test=words.percent(final.accuracy) if final else "",
        flash=cost(lambda m: m.flash.total, words.kib),
        ram=cost(lambda m: m.ram.total, words.kib),
        count=cost(lambda m: m.count, words.short_count),
        score=f"{pareto.score(measurement, base):.3f}" if measurement and base else "",
        reason=trial.reason,
        meets_target=summary.meets_target(trial),
        is_chosen=trial == summary.chosen,
        is_baseline=trial == summary.baseline,
        is_on_front=trial in summary.front,
    )


def headline(summary: Summary) -> str:
    """The result in one sentence."""
    target = words.percent(summary.accuracy_target)
    if not summary.measured:
        return "No trial has been measured yet."
    if summary.chosen is None:
        nearest = words.percent(max(trial.accuracy or 0.0 for trial in summary.measured))
        return (
            f"No measured network reaches the accuracy target of {target}; the best has {nearest}."
        )
    chosen = row(summary, summary.chosen)
    if chosen.is_baseline:
        return (
            f"Nothing smaller than the int8 baseline reaches the accuracy target of {target} yet."
        )
    found = f"Trial {chosen.number}, {chosen.stages}: accuracy {chosen.accuracy}"
    if summary.baseline is None:
        costs = f"{chosen.flash.value} KiB of flash, {chosen.ram.value} KiB of RAM"
        return f"{found} (target {target}), {costs}, {chosen.count.value} {counted(summary)}."
    return (
        f"{found} (int8 baseline {row(summary, summary.baseline).accuracy}, target {target}) "
        f"at {chosen.flash.ratio} the flash, {chosen.ram.ratio} the RAM "
        f"and {chosen.count.ratio} the {counted(summary)}."
    )


def status(summary: Summary) -> str:
    """How much was tried, how long it took, and what ended it."""
    rejected = len(summary.trials) - len(summary.measured)
    ended = _STOPPED.get(summary.stopped_by or "", summary.stopped_by)
    tried = words.number_of(len(summary.trials), "trial")
    return (
        f"{tried}: {len(summary.measured)} measured, {rejected} infeasible; "
        f"{words.duration(60 * summary.used_minutes)}; {ended}"
    )


def counted(summary: Summary) -> str:
    """What this run's counter counts: instructions, cycles or modelled cycles."""
    kinds = {pareto.measurement_of(trial).counter for trial in summary.measured}
    return words.COUNTED[kinds.pop()] if kinds else "count"


def notes(summary: Summary) -> dict[str, str]:
    """What each number is and how it was made."""
    measurements = [pareto.measurement_of(trial) for trial in summary.measured]
    samples = " or ".join(sorted({str(m.total) for m in measurements})) or "the"
    counters = ", ".join(sorted({COUNTER_UNITS[m.counter] for m in measurements}))
    return {
        "accuracy": "share of the validation split that the integer reference on the host gets "
        "right; on every sample the device was given, its outputs equaled the reference's "
        "bit for bit",
        "device": f"right answers of {samples} validation samples, counted by the firmware",
        "test": "accuracy on the test split, which no decision of the search has seen",
        "flash": "what the linker put there: weights, model, kernels, harness, C library",
        "RAM": "arena, static data and the peak of the stack, measured on the board by painting",
        "count": f"{counters or 'none'} of one inference, median over {samples} samples",
        "score": "geometric mean of the flash, RAM and count ratios to the int8 baseline; "
        "the chosen network has the smallest that meets the accuracy target",
    }


def provenance(summary: Summary) -> dict[str, str]:
    """Every field of the provenance, with several values if the trials do not agree."""
    return {
        field.name.replace("_", " "): ", ".join(
            dict.fromkeys(str(getattr(trial.provenance, field.name)) for trial in summary.trials)
        )
        for field in fields(Provenance)
    }


def parts(summary: Summary) -> list[tuple[str, str, str, str, str]]:
    """Where the chosen network saved: memory, part, baseline bytes, chosen bytes, ratio."""
    if summary.chosen is None or summary.baseline is None:
        return []
    chosen = pareto.measurement_of(summary.chosen)
    baseline = pareto.measurement_of(summary.baseline)
    return [
        *_compared("flash", baseline.flash, chosen.flash),
        *_compared("RAM", baseline.ram, chosen.ram),
    ]


def seconds(summary: Summary) -> list[tuple[str, str, float]]:
    """Where the time went: part of a trial, time over all trials, share of 1; longest first."""
    total: Counter[str] = Counter()
    for trial in summary.trials:
        total.update(trial.seconds)
    everything = sum(total.values()) or 1.0
    return [
        (part, words.duration(spent), spent / everything) for part, spent in total.most_common()
    ]


def _compared(memory: str, before: Sizes, after: Sizes) -> list[tuple[str, str, str, str, str]]:
    lines = []
    for part in (*dict.fromkeys([*before.parts, *after.parts]), "total"):
        old = before.total if part == "total" else before.parts.get(part, 0)
        new = after.total if part == "total" else after.parts.get(part, 0)
        lines.append((memory, part, f"{old:,}", f"{new:,}", words.times(new / old) if old else ""))
    return lines
