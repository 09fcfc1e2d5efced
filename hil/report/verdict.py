"""What a run has shown, in the order in which a reader asks: which network, at what accuracy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import hypot
from typing import Literal

from compress.metrics.intervals import Interval, normal_interval
from compress.metrics.scale import ACCURACY
from hil import formatting
from hil.objective import pareto
from hil.objective.costs import costs_of
from hil.report.confirmation import Confirmation, confirmation_of
from hil.report.findings import TrialRow, counted, headline, shown, trial_row
from hil.report.summary import Summary
from hil.types import COUNTER_UNITS, Trial

Judgment = Literal["good", "open", "bad"]


@dataclass(frozen=True, slots=True)
class Saving:
    """One cost of a network beside that of the int8 network, as texts; `share` is their ratio."""

    name: str
    now: str
    before: str
    share: float
    remark: str = ""

    @property
    def ratio(self) -> str:
        return formatting.ratio(self.share)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A network beside the int8 network on the test split, with what it saves.

    `text` says how they compare there; `judgment` is "good" where it is surely not worse than
    asked, "bad" where it surely is, "open" between.
    """

    title: str
    row: TrialRow
    text: str
    judgment: Judgment
    badge: str
    savings: tuple[Saving, ...]


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """The head of a report: a sentence, where it was measured, and one or two comparisons.

    `equal` is that at the accuracy of the int8 network, None if the chosen one is that network or
    there is none.
    """

    headline: str
    measured_on: str
    chosen: Comparison | None
    equal: Comparison | None
    no_equal: str


def verdict_of(summary: Summary) -> RunVerdict:
    """The verdict of a run; its comparisons are None as long as nothing is chosen."""
    chosen, equal = summary.chosen, equally_accurate(summary)
    comparison = None
    if chosen is not None and chosen != summary.baseline:
        comparison = _of_the_goal(summary, chosen, also_equal=chosen == equal)
    has_int8 = summary.baseline is not None and bool(summary.measured)
    return RunVerdict(
        headline=_sentence(summary),
        measured_on=measured_on(summary),
        chosen=comparison,
        equal=_at_equal_accuracy(summary, equal) if equal and equal != chosen else None,
        no_equal="No network that is as accurate as the int8 network on the validation split "
        "costs less than it."
        if has_int8 and equal is None
        else "",
    )


def equally_accurate(summary: Summary) -> Trial | None:
    """The cheapest network with at least the int8 network's accuracy on the validation split.

    None if that is the int8 network itself. The test split has no say in it.
    """
    base = summary.baseline
    if base is None or base.accuracy is None:
        return None
    as_good = [
        trial
        for trial in summary.measured
        if trial.state == "measured" and (trial.accuracy or 0.0) >= base.accuracy
    ]

    def cost(trial: Trial) -> tuple[float, int]:
        score = pareto.score(pareto.measurement_of(trial), pareto.measurement_of(base))
        return score, trial.number

    best = min(as_good, key=cost, default=base)
    return None if best == base else best


def measured_on(summary: Summary) -> str:
    """The board and the counter, in words: what every figure of the page comes from."""
    board = summary.goal.board
    kinds = sorted({pareto.measurement_of(trial).counter for trial in summary.measured})
    counters = ", ".join(COUNTER_UNITS[kind] for kind in kinds)
    return f"{board.title} ({board.name}, {board.core}); counted: {counters or 'nothing yet'}"


def _sentence(summary: Summary) -> str:
    chosen, base = summary.chosen, summary.baseline
    if chosen is None or base is None or chosen == base:
        return headline(summary)
    row = trial_row(summary, chosen)
    return (
        f"Trial {row.number} ({row.stages}) needs {row.flash.ratio} the flash, {row.ram.ratio} the "
        f"RAM and {row.count.ratio} the {counted(summary)} of the int8 network."
    )


def _of_the_goal(summary: Summary, trial: Trial, also_equal: bool) -> Comparison:
    """The chosen network, judged by the floor that was asked for.

    `also_equal` says that it is the cheapest at the accuracy of the int8 network, too.
    """
    found, row = confirmation_of(summary, trial), trial_row(summary, trial)
    title, metric = "The network that was chosen", summary.metric.title
    if also_equal:
        title += ", also at the accuracy of the int8 network"
    if found is None:
        text = f"Not tried on the test split yet; validation {metric} {row.accuracy}."
        return Comparison(title, row, text, "open", "not judged yet", _savings(summary, trial))
    floor = shown(summary, found.floor)
    keeps = "keeps" if found.keeps_floor else "misses"
    sure = "" if found.is_certain else ", within the error"
    judgment: Judgment = "open"
    if found.is_certain:
        judgment = "good" if found.keeps_floor else "bad"
    text = f"Test {metric} {shown(summary, found.accuracy)}{_interval(found.interval)}"
    base = confirmation_of(summary, summary.baseline)
    if base is not None:
        text += f"; the int8 network has {shown(summary, base.accuracy)}{_interval(base.interval)}"
        text += _difference_text(summary, _difference(found, base)) if also_equal else ""
    return Comparison(
        title,
        row,
        f"{text}.",
        judgment,
        f"{keeps} the floor of {floor}{sure}",
        _savings(summary, trial),
    )


def _at_equal_accuracy(summary: Summary, trial: Trial) -> Comparison:
    """The network that was as accurate as the int8 one, judged by their difference."""
    row, metric = trial_row(summary, trial), summary.metric.title
    title = "At the accuracy of the int8 network"
    mine, theirs = (confirmation_of(summary, one) for one in (trial, summary.baseline))
    if mine is None or theirs is None:
        text = f"Chosen by validation {metric} ({row.accuracy}); not tried on the test split yet."
        return Comparison(title, row, text, "open", "not judged yet", _savings(summary, trial))
    text = (
        f"Test {metric} {shown(summary, mine.accuracy)}{_interval(mine.interval)}; the int8 "
        f"network has {shown(summary, theirs.accuracy)}{_interval(theirs.interval)}"
    )
    text += _difference_text(summary, between := _difference(mine, theirs))
    better = mine.accuracy >= theirs.accuracy
    badge = "not worse on the test split" if better else "worse on the test split"
    judgment: Judgment = "good" if better else "open"
    if between is not None:
        equal = 0.0 in between
        judgment = "good" if better or equal else "bad"
        badge = "equal within the error" if equal else badge.replace("not worse", "better")
    return Comparison(title, row, f"{text}.", judgment, badge, _savings(summary, trial))


def _difference(mine: Confirmation, theirs: Confirmation) -> Interval | None:
    """The interval of one accuracy less the other on the test split; None if it is not known.

    Both differences to the float network are known, on the same samples: what their errors have in
    common is left out, so that the interval is at most this wide.
    """
    if mine.drop_error is None or theirs.drop_error is None:
        return None
    error = hypot(mine.drop_error, theirs.drop_error)
    return normal_interval(mine.accuracy - theirs.accuracy, error)


def _difference_text(summary: Summary, between: Interval | None) -> str:
    """The difference in points with its interval; "" for another metric than the accuracy."""
    if between is None or summary.metric != ACCURACY:
        return ""
    middle = (between.low + between.high) / 2
    return (
        f": a difference of {100 * middle:+.2f} points, 95 % interval "
        f"{100 * between.low:+.1f} to {100 * between.high:+.1f}"
    )


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f" (95 % interval {100 * interval.low:.1f} to {formatting.percent(interval.high, 1)})"


def _savings(summary: Summary, trial: Trial) -> tuple[Saving, ...]:
    return tuple(_each_saving(summary, trial))


def _each_saving(summary: Summary, trial: Trial) -> Iterator[Saving]:
    """Flash, RAM and count; time and energy where they are known."""
    base = summary.baseline
    if base is None:
        return
    mine, theirs = pareto.measurement_of(trial), pareto.measurement_of(base)

    def saving(
        name: str,
        now: float | None,
        before: float | None,
        text: Callable[[float], str],
        remark: str = "",
    ) -> Iterator[Saving]:
        if now is not None and before:
            yield Saving(name, text(now), text(before), now / before, remark)

    def kib(size: float) -> str:
        return f"{formatting.kib(size)} KiB"

    yield from saving("flash", mine.flash.total, theirs.flash.total, kib)
    yield from saving("RAM", mine.ram.total, theirs.ram.total, kib)
    yield from saving(counted(summary), mine.count, theirs.count, formatting.short_count)
    now, before = (costs_of(one, summary.goal.board) for one in (mine, theirs))
    modelled = "modelled" if mine.counter == "insn" else ""

    def milliseconds(value: float) -> str:
        return f"{formatting.three_digits(value)} ms"

    def microjoules(value: float) -> str:
        return f"{formatting.three_digits(value)} µJ"

    yield from saving("time", now.latency_ms, before.latency_ms, milliseconds, modelled)
    yield from saving("energy", now.energy_uj, before.energy_uj, microjoules, "estimate")
