"""The report of a run: a table on the terminal, and a self-contained report.html."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hil.report import choosing, confirmation, findings, learned, originals, plots, time_profile
from hil.report.findings import CostCell, TrialRow
from hil.report.page import write_html
from hil.report.summary import Summary, summarize
from hil.report.summary_json import summary_to_json

__all__ = [
    "Summary",
    "print_profile",
    "print_summary",
    "print_table",
    "summarize",
    "summary_to_json",
    "write_html",
    "write_report",
]

FRONT_ON_TERMINAL = 16
NARROW_COLUMNS = 100
_SCORE_COLUMNS = 8
# Shown if known and if there is room; the score only if it is not simply the ratios' mean.
_EXTRA = {"latency": "ms", "energy": "µJ", "score": "score"}


def print_table(summary: Summary, console: Console) -> None:
    """Print the headline, the front (trials that meet the target first) and a legend."""
    console.print(Text(findings.headline(summary), style="bold"))
    for line in confirmation.lines(summary):
        console.print(Text(line))
    if summary.measured:
        front = summary.ranked_front()
        shown = list(front[:FRONT_ON_TERMINAL])
        for trial in (summary.chosen, summary.baseline):
            if trial is not None and trial not in shown:
                shown.append(trial)
        rows = [findings.trial_row(summary, trial) for trial in shown]
        extra = _extra(summary)
        columns = () if console.width < NARROW_COLUMNS else extra
        short = console.width < NARROW_COLUMNS + _SCORE_COLUMNS * ("score" in extra)
        texts = rows, summary.metric.title, findings.counted(summary), short, columns
        table = _table(*texts)
        roomy = console.options.update(width=2 * console.width)
        if console.measure(table, options=roomy).maximum > console.width:  # would be cut
            table = _table(*texts, with_device=False)
        console.print(table)
        console.print(Text("\n".join(_legend(summary, len(front), extra)), style="dim"))
        if len(choosing.places(summary)) > 1:
            console.print(_places(summary))
        if why := choosing.words(summary):
            console.print(Text(why))
            console.print(Text(choosing.command(summary), style="dim"))
    if sure := findings.certainty(summary):
        console.print(Text(sure))
    if told := learned.learned(summary):
        console.print(Text(told))
    console.print(Text(findings.status(summary), style="dim"))
    if any(remark.kind == "recall" for remark in summary.remarks):
        console.print(_recalls(summary))
    for remark in summary.remarks:
        console.print(Text(f"warning: {remark.text}", style="yellow"))


def _places(summary: Summary) -> Table:
    """The chosen network between its neighbors."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("")
    for heading in ("#", summary.metric.title, "flash", "RAM", findings.counted(summary), "score"):
        table.add_column(heading, justify="right", no_wrap=True)
    for place in choosing.places(summary):
        row = findings.trial_row(summary, place.candidate.trial)
        sizes = (cost.ratio or cost.value for cost in (row.flash, row.ram, row.count))
        score = f"{place.candidate.cost:.3f}"
        style = "bold" if row.is_chosen else ""
        table.add_row(place.role, str(row.number), row.accuracy, *sizes, score, style=style)
    return table


def _recalls(summary: Summary) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("recall of class")
    for heading in ("samples", "float", "int8 baseline", "chosen"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in originals.class_rows(summary):
        cells = ((row.baseline, row.baseline_fell), (row.chosen, row.chosen_fell))
        now = (Text(text, style="yellow" if fell else "") for text, fell in cells)
        table.add_row(Text(row.name), f"{row.samples:,}", row.original, *now)
    return table


def print_summary(summary: Summary, folder: Path, console: Console) -> None:
    """Print the table and the path of report.html."""
    print_table(summary, console)
    console.print(Text(f"report: {folder / 'report.html'}"), soft_wrap=True)


def print_profile(summary: Summary, console: Console) -> None:
    """Print the time by step, the rates of the search, and how well cheap estimates rank."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("step, all processes")
    for heading in ("time", "share"):
        table.add_column(heading, justify="right", no_wrap=True)
    for step, spent, share in time_profile.rows(summary.profile):
        table.add_row(step, spent, f"{100 * share:.1f} %")
    console.print(table)
    for sentence in time_profile.sentences(summary.profile):
        console.print(Text(sentence))
    console.print(Text(findings.status(summary), style="dim"))


def write_report(summary: Summary, folder: Path) -> None:
    """Write report.html and pareto.png into `folder`. Raises UserError."""
    write_html(summary, folder / "report.html")
    plots.write_png(plots.pareto_figure(summary), folder / "pareto.png")


def _extra(summary: Summary) -> tuple[str, ...]:
    """The names in `_EXTRA` that this run has."""
    known = findings.notes(summary)
    weighed = summary.goal.weights is not None
    return tuple(name for name in _EXTRA if name in known and (weighed or name != "score"))


def _table(
    rows: list[TrialRow],
    metric: str,
    counted: str,
    short: bool,
    extra: Sequence[str],
    with_device: bool = True,
) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("order" if short else "stages")
    device = ("device",) if with_device else ()
    for heading in (metric, *device, "test"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("flash KiB", "RAM KiB", counted):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in extra:
        table.add_column(_EXTRA[name], justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            f"{row.mark}{row.number}",
            row.order if short else row.stages,
            row.accuracy,
            *([row.device] if with_device else []),
            row.test,
            *map(_cost, (row.flash, row.ram, row.count)),
            *(getattr(row, name) for name in extra),
            style="bold" if row.is_chosen else "" if row.meets_target else "dim",
        )
    return table


def _cost(cost: CostCell) -> Text:
    return Text.assemble(cost.value, " ", (cost.ratio, "cyan")) if cost.ratio else Text(cost.value)


def _legend(summary: Summary, on_front: int, extra: Sequence[str]) -> list[str]:
    marks = "★ chosen  • int8 baseline; ratios are relative to it  (dim: does not meet the goal)"
    if on_front > FRONT_ON_TERMINAL:
        marks += f"  … {on_front - FRONT_ON_TERMINAL} more on the front: see report.html"
    made, notes = findings.provenance_rows(summary), findings.notes(summary)
    return [
        marks,
        f"goal: {notes['goal']}",
        *filter(None, [originals.float_line(summary)]),
        *originals.other_lines(summary),
        *(f"{name}: {notes[name]}" for name in (*extra, "features") if name in notes),
        f"count: {notes['count']}. Board {made['board']} ({made['core']}), "
        f"{made['compiler']}, {made['kernels']}.",
    ]
