"""The texts of a report, the same on the terminal and in report.html."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

from compress.metrics.scale import ACCURACY
from compress.pipeline.samples import JUDGED_SAMPLES
from hil import formatting
from hil.energy.energy import energy_error
from hil.objective import pareto
from hil.objective.costs import costs_of, knows_cycles
from hil.report.confirmation import confirmation_of, interval_text
from hil.report.originals import float_accuracy
from hil.report.summary import Summary
from hil.types import COUNTER_UNITS, Measurement, Provenance, Sizes, Trial

_BUDGETS_ARE_TOTALS = "by all sessions of this run together"
_STOPPED = {
    "": "not finished",
    "target": "stopped: target met and the front no longer improves; to continue, raise --patience",
    "trials": f"stopped: trial budget used up {_BUDGETS_ARE_TOTALS}; to continue, raise --trials",
    "minutes": f"stopped: time budget used up {_BUDGETS_ARE_TOTALS}; to continue, raise --minutes",
    "energy": f"stopped: energy budget used up {_BUDGETS_ARE_TOTALS}; "
    "to continue, raise --energy-budget",
    "exhausted": "stopped: the engine has nothing left to try",
    "interrupt": "stopped: interrupted; to continue, run the same command again",
    "merged": "merged from other runs",
}


@dataclass(frozen=True, slots=True)
class CostCell:
    """One measured cost of a trial as text: its value, and its ratio to the int8 baseline.

    Flash and RAM are in KiB. The ratio is "" without a baseline.
    """

    value: str
    ratio: str


@dataclass(frozen=True, slots=True)
class TrialRow:
    """The texts of a trial's row in a table; unknown ones are "".

    `latency` is in ms, `energy` in microjoules. `stages`, `order` and `details` describe the
    genome, in increasing detail from `order` (such as PQ) on; `device` is "right/total".
    `test_fails` is true for a network that does not keep the floor on the test split.
    """

    number: int
    stages: str
    order: str
    details: str
    accuracy: str
    device: str
    test: str
    test_interval: str
    test_fails: bool
    flash: CostCell
    ram: CostCell
    count: CostCell
    latency: str
    energy: str
    score: str
    reason: str
    meets_target: bool
    is_chosen: bool
    is_baseline: bool
    is_on_front: bool

    @property
    def mark(self) -> str:
        return "★" * self.is_chosen + "•" * self.is_baseline


def trial_row(summary: Summary, trial: Trial) -> TrialRow:
    """The row of `trial`."""
    measurement, score = trial.measurement, summary.score(trial)
    final = confirmation_of(summary, trial)
    base = summary.baseline and summary.baseline.measurement
    costs = measurement and costs_of(measurement, summary.goal.board)

    def cost(value: Callable[[Measurement], int], shown: Callable[[float], str]) -> CostCell:
        if measurement is None:
            return CostCell("", "")
        ratio = formatting.ratio(value(measurement) / value(base)) if base else ""
        return CostCell(shown(value(measurement)), ratio)

    return TrialRow(
        number=trial.number,
        stages=formatting.stage_order(trial.genome),
        order=trial.genome.order,
        details=formatting.stage_details(trial.genome),
        accuracy="" if trial.accuracy is None else shown(summary, trial.accuracy),
        device="" if measurement is None else _device(summary, measurement),
        test=shown(summary, final.accuracy) if final else "",
        test_interval=interval_text(final.interval) if final and final.interval else "",
        test_fails=final is not None and not final.keeps_floor,
        flash=cost(lambda m: m.flash.total, formatting.kib),
        ram=cost(lambda m: m.ram.total, formatting.kib),
        count=cost(lambda m: m.count, formatting.short_count),
        latency=formatting.three_digits(costs.latency_ms) if costs and costs.latency_ms else "",
        energy=formatting.three_digits(costs.energy_uj) if costs and costs.energy_uj else "",
        score="" if score is None else f"{score:.3f}",
        reason=trial.reason,
        meets_target=summary.meets_target(trial),
        is_chosen=trial == summary.chosen,
        is_baseline=trial == summary.baseline,
        is_on_front=trial in summary.front,
    )


def shown(summary: Summary, share: float) -> str:
    """An accuracy in the unit of the run's metric, without its name."""
    return formatting.metric(summary.metric, share)


def _device(summary: Summary, measurement: Measurement) -> str:
    """Right answers of all as the firmware counted them; where there are no classes, the metric."""
    if measurement.right or measurement.value is None:
        return f"{measurement.correct}/{measurement.total}"
    return formatting.metric_value(summary.metric, measurement.value)


def _counts_classes(summary: Summary) -> bool:
    """False if the device's outputs are no classes, as of a regression."""
    pairs = ((m.right, m.value) for t in summary.measured if (m := t.measurement))
    return all(right or value is None for right, value in pairs)


def headline(summary: Summary) -> str:
    """The result in one sentence."""
    target, named = shown(summary, summary.accuracy_target), summary.metric.title
    if not summary.measured:
        return _unmeasured(summary)
    if summary.chosen is None:
        most = max(trial.accuracy for trial in summary.measured if trial.accuracy is not None)
        if most >= summary.accuracy_target:
            return f"No measured network meets the whole goal: {goal_text(summary)}."
        original = float_accuracy(summary, "val")
        return (
            f"No measured network reaches the {named} target of {target}; the best has "
            f"{shown(summary, most)}{original and f', the float network {original}'}."
        )
    chosen = trial_row(summary, summary.chosen)
    if chosen.is_baseline and summary.goal.weights is not None:
        return (
            f"By the given weights, no network that reaches the {named} target of {target} is "
            "better than the int8 baseline yet."
        )
    if chosen.is_baseline:
        return (
            f"No network smaller than the int8 baseline reaches the {named} target of {target} yet."
        )
    found = f"Trial {chosen.number}, {chosen.stages}: {named} {chosen.accuracy}"
    if summary.baseline is None:
        costs = f"{chosen.flash.value} KiB of flash, {chosen.ram.value} KiB of RAM"
        return f"{found} (target {target}), {costs}, {chosen.count.value} {counted(summary)}."
    floats = float_accuracy(summary, "val")
    original = f"float network {floats}, " if floats else ""
    return (
        f"{found} ({original}int8 baseline {trial_row(summary, summary.baseline).accuracy}, "
        f"target {target}) at {chosen.flash.ratio} the flash, {chosen.ram.ratio} the RAM "
        f"and {chosen.count.ratio} the {counted(summary)}."
    )


def _unmeasured(summary: Summary) -> str:
    """That nothing was measured, and the commonest reason why nothing could be."""
    reasons = Counter(trial.reason for trial in summary.trials if trial.reason)
    if not reasons:
        return "No trial has been measured yet."
    reason, count = reasons.most_common(1)[0]
    return f"No network could be measured; {count} of {len(summary.trials)}: {reason}."


def certainty(summary: Summary) -> str:
    """How probably the chosen network keeps the floor on unseen data; "" if it is unknown."""
    chosen, asked = summary.chosen, summary.goal.confidence
    odds = None if chosen is None else summary.odds.get(chosen.number)
    if odds is None or chosen is None or chosen.accuracy is None or asked is None:
        return ""
    text = (
        f"On unseen data it keeps the target with probability {odds.probability:.2f} "
        f"({asked:.2f} asked for): {shown(summary, odds.accuracy)} "
        f"{formatting.plus_minus_points(odds.deviation, summary.metric)} after shrinking "
        f"{shown(summary, chosen.accuracy)} toward networks of its costs"
    )
    few = "; no network is more certain" if odds.probability < asked else ""
    repeats = sum(trial.genome == chosen.genome for trial in summary.measured)
    seeds = f", {repeats} trainings of it" if repeats > 1 else ""
    return f"{text}{seeds}{few}."


def status(summary: Summary) -> str:
    """The number of trials by state, the time used, and why the search stopped.

    A trial that was measured but exceeds the board's limits counts as infeasible.
    """
    states = Counter(trial.state for trial in summary.trials)
    imported = summary.goal_source == "task"  # a run without a session: it has no time used
    ended = "imported" if imported else _STOPPED.get(summary.stopped_by or "", summary.stopped_by)
    time = "" if imported else f"{formatting.duration(60 * summary.used_minutes)}; "
    tried = formatting.number_of(len(summary.trials), "trial")
    screened = f"{len(summary.screened)} screened, " if summary.screened else ""
    return (
        f"{screened}{tried} in full: {states['measured']} measured, "
        f"{states['infeasible']} infeasible; "
        f"{time}{ended}"
    )


def goal_text(summary: Summary) -> str:
    """The goal as text: accuracy, limits and objective weights."""
    goal, imported = summary.goal, summary.goal_source == "task"
    source = " (the task's default, since no search ran here)" if imported else ""
    parts = [
        f"{_floor_text(summary)}{source}",
        f"at most {formatting.kib(goal.flash_bytes)} KiB of flash",
        f"{formatting.kib(goal.ram_bytes)} KiB of RAM",
    ]
    if goal.latency_ms is not None:
        parts.append(f"{formatting.three_digits(goal.latency_ms)} ms")
    if goal.energy_uj is not None:
        parts.append(f"{formatting.three_digits(goal.energy_uj)} µJ")
    if goal.weights is not None:
        weights = asdict(goal.weights).items()
        parts.append("weights " + " ".join(f"{name} {weight:g}" for name, weight in weights))
    return ", ".join(parts)


def _floor_text(summary: Summary) -> str:
    """The floor in the unit of the metric, and what was asked for if that is a distance."""
    goal, metric = summary.goal, summary.metric
    most = "at most " if metric.better == "lower" else ""
    text = f"{metric.title} {most}{shown(summary, goal.accuracy)}"
    relative = goal.floor is not None and goal.floor.kind != "absolute"
    return f"{text} ({goal.floor})" if relative else text


def counted(summary: Summary) -> str:
    """The unit of this run's counter: instructions or cycles."""
    kinds = {pareto.measurement_of(trial).counter for trial in summary.measured}
    return formatting.COUNT_NOUNS[kinds.pop()] if kinds else "count"


def notes(summary: Summary) -> dict[str, str]:
    """The definition of each number in the report, by its heading."""
    measurements = [pareto.measurement_of(trial) for trial in summary.measured]
    samples = " or ".join(sorted({str(m.total) for m in measurements})) or "the"
    counters = ", ".join(sorted({COUNTER_UNITS[m.counter] for m in measurements}))
    return {
        "goal": goal_text(summary),
        summary.metric.title: f"{_accuracy_words(summary)}; on every sample that ran on the "
        "device, its outputs equaled the reference's bit for bit",
        "device": _device_words(summary, samples),
        "test": f"{summary.metric.title} on the test split, which no decision of the search used: "
        "it alone says whether a network keeps its floor",
        **_float_note(summary),
        "flash": "bytes placed by the linker: weights, model, kernels, harness, C library",
        "RAM": "arena, static data and stack high-water mark, measured on the board by stack "
        "painting",
        "count": f"{counters or 'none'} of one inference, median over {samples} samples",
        **_estimates(summary),
        "score": f"{_score(summary)}; of the networks that meet the goal and whose score is within "
        f"{formatting.percent(summary.goal.nearness, 1)} of the least, the most accurate is chosen",
        **({"features": summary.features} if summary.features else {}),
    }


def _accuracy_words(summary: Summary) -> str:
    """What the accuracy of a trial is."""
    metric = summary.metric
    if metric == ACCURACY:
        return (
            f"share of the validation samples (at most {JUDGED_SAMPLES:,}, evenly spaced) that the "
            "integer reference on the host classifies correctly"
        )
    words = f"of the integer reference's outputs on the validation split, {metric.better} is better"
    if metric.reference is None:
        return words
    return (
        f"{words}; the best answer that is the same for every sample has "
        f"{formatting.metric_value(metric, metric.reference)}, and the search compares networks by "
        "1 - value / that"
    )


def _device_words(summary: Summary, samples: str) -> str:
    if _counts_classes(summary):
        return f"correct answers on {samples} validation samples, counted by the firmware"
    return (
        f"{summary.metric.title} of the outputs read back from the device for {samples} validation "
        "samples"
    )


def _float_note(summary: Summary) -> dict[str, str]:
    """The definition of the float network's figures, if there are any."""
    if not summary.originals:
        return {}
    return {
        "float network": "the trained original before quantization, from which all trials start; "
        "recall is the share of a class's validation samples that a network classifies as this "
        "class, marked where it is below the float network's by more than the standard error"
    }


def _score(summary: Summary) -> str:
    """The definition of the score, by which the network is chosen."""
    weights = summary.goal.weights
    if weights is None:
        return "geometric mean of the flash, RAM and count ratios to the int8 baseline"
    work = "cycles" if knows_cycles(summary.goal.board) else counted(summary)
    lost = ", and of the percentage points of accuracy lost" if weights.accuracy else ""
    return (
        f"mean of the ratios of flash, RAM and {work} to the int8 baseline{lost}, with the given "
        "weights"
    )


def _estimates(summary: Summary) -> dict[str, str]:
    """The definitions of latency and energy with their errors, if these are known."""
    board = summary.goal.board
    measurements = [pareto.measurement_of(trial) for trial in summary.measured]
    costs = [costs_of(measurement, board) for measurement in measurements]
    notes = {}
    error = max((m.model_error or 0.0 for m in measurements), default=0.0)
    modelled = any(m.counter == "insn" for m in measurements)
    stated = (
        f", {formatting.plus_minus(error)}" if error else ", of unknown error" if modelled else ""
    )
    if any(cost.latency_ms is not None for cost in costs):
        made = "counted cycles"
        if modelled:
            waits = formatting.memory_timing(board.memory)
            made = f"modelled cycles of a {board.core}, not measured, {waits}"
        notes["latency"] = f"one inference at {formatting.time_clock(board)}: {made}{stated}"
    if board.energy is not None and any(cost.energy_uj is not None for cost in costs):
        notes["energy"] = (
            f"estimate of one inference, "
            f"{formatting.plus_minus(energy_error(board.energy, error))}: "
            f"{board.energy.active_mw:g} mW at {board.energy.clock_hz / 1e6:g} MHz, "
            f"{board.energy.source}"
        )
    return notes


def provenance_rows(summary: Summary) -> dict[str, str]:
    """Every field of the provenance; all values, if those of the trials differ."""
    return {
        field.name.replace("_", " "): "; ".join(filter(None, _values(summary, field.name)))
        for field in fields(Provenance)
    }


def _values(summary: Summary, name: str) -> list[str]:
    """The values of a field of the provenance, in the order of the trials, each once."""
    return list(dict.fromkeys(str(getattr(t.provenance, name)) for t in summary.trials))


def memory_rows(summary: Summary) -> list[tuple[str, str, str, str, str]]:
    """Rows of (memory, part, bytes of the baseline, bytes of the chosen network, ratio)."""
    if summary.chosen is None or summary.baseline is None:
        return []
    chosen = pareto.measurement_of(summary.chosen)
    baseline = pareto.measurement_of(summary.baseline)
    return [
        *_compared("flash", baseline.flash, chosen.flash),
        *_compared("RAM", baseline.ram, chosen.ram),
    ]


def _compared(memory: str, before: Sizes, after: Sizes) -> list[tuple[str, str, str, str, str]]:
    lines = []
    for part in (*dict.fromkeys([*before.parts, *after.parts]), "total"):
        old = before.total if part == "total" else before.parts.get(part, 0)
        new = after.total if part == "total" else after.parts.get(part, 0)
        lines.append(
            (memory, part, f"{old:,}", f"{new:,}", formatting.ratio(new / old) if old else "")
        )
    return lines
