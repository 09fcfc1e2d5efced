"""The picture of a run, pareto.png: accuracy against flash, RAM and count.

It is a plain `Figure` without pyplot, which keeps global state. The plots of report.html are drawn
by its script.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter, ScalarFormatter

from hil import formatting
from hil.files import write_file
from hil.objective import pareto
from hil.report.summary import Summary
from hil.types import Measurement, Trial

_INK, _FAINT, _GRID, _TARGET = "#1f2933", "#8a96a3", "#e6e9ed", "#b42318"
# The palette of Okabe and Ito, made for every kind of color vision; markers differ as well.
PALETTE = (
    ("#0072b2", "o"),
    ("#d55e00", "s"),
    ("#009e73", "^"),
    ("#cc79a7", "D"),
    ("#e69f00", "v"),
    ("#56b4e9", "P"),
)


@dataclass(frozen=True, slots=True)
class _Group:
    """Trials drawn alike: those with one order of stages, or with any of the rare orders."""

    label: str
    color: str
    marker: str
    trials: tuple[Trial, ...]


@dataclass(frozen=True, slots=True)
class _Cost:
    """A horizontal axis: its label, and its value for a measurement."""

    name: str
    value: Callable[[Measurement], float]


def pareto_figure(summary: Summary) -> Figure:
    """A figure of three panels: the metric on the validation split by flash, RAM and count."""
    counters = {pareto.measurement_of(trial).counter for trial in summary.measured}
    counted = formatting.COUNT_NOUNS[counters.pop()] if counters else "count"
    with plot_style():
        figure = new_figure(12.5, 4.7)
        panels = figure.subplots(1, 3, sharey=True)
        for axes, cost in zip(
            panels,
            (
                _Cost("flash (KiB)", lambda m: m.flash.total / 1024),
                _Cost("RAM (KiB)", lambda m: m.ram.total / 1024),
                _Cost(f"{counted} per inference", lambda m: m.count),
            ),
            strict=True,
        ):
            _draw_panel(axes, summary, cost)
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.xaxis.set_major_formatter(
                EngFormatter(sep=" ") if cost.name.startswith(counted) else ScalarFormatter()
            )
        metric = summary.metric
        panels[0].set_ylabel(f"{metric.title} (validation split)")
        if metric.in_percent:
            panels[0].yaxis.set_major_formatter(PercentFormatter(1.0))
        panels[0].set_ylim(*map(metric.value, _accuracy_limits(summary)))  # the better one on top
        figure.legend(handles=_legend(summary), loc="outside lower center", ncols=4)
        return figure


def write_png(figure: Figure, path: Path) -> None:
    """Write the figure as PNG at 150 dpi; equal figures give equal bytes. Raises UserError."""
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=150, facecolor="white", metadata={"Software": None})
    write_file(path, png.getvalue())


def plot_style() -> AbstractContextManager[None]:
    """A context with the settings of our plots; the former ones hold again afterwards."""
    return mpl.rc_context(
        {
            "font.family": ["DejaVu Sans", "sans-serif"],
            "font.size": 9.5,
            "axes.edgecolor": _FAINT,
            "axes.labelcolor": _INK,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "axes.grid": True,
            "grid.color": _GRID,
            "text.color": _INK,
            "xtick.color": _INK,
            "ytick.color": _INK,
            "legend.frameon": False,
        }
    )


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """An empty figure that needs no display."""
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _groups(summary: Summary) -> list[_Group]:
    """The measured trials by order of stages, most frequent first; rare orders share one group."""
    frequent = Counter(trial.genome.order for trial in summary.measured).most_common()
    looks = dict(zip((order for order, _ in frequent), PALETTE, strict=False))
    groups = []
    for order, (color, marker) in looks.items():
        trials = tuple(trial for trial in summary.measured if trial.genome.order == order)
        groups.append(_Group(formatting.stage_order(trials[0].genome), color, marker, trials))
    rare = tuple(trial for trial in summary.measured if trial.genome.order not in looks)
    return [*groups, _Group("other orders", _FAINT, "X", rare)] if rare else groups


def _accuracy_limits(summary: Summary) -> tuple[float, float]:
    """The limits of the accuracy axis, with room around the target and the baseline.

    Trials far below are drawn at the lower edge.
    """
    shares = [trial.accuracy or 0.0 for trial in summary.measured]
    marks = [summary.accuracy_target]
    if summary.baseline is not None:
        marks.append(summary.baseline.accuracy or 0.0)
    top, low = max(shares + marks), min(marks)
    low = max(min(shares + marks), low - max(0.02, 2 * (top - low)))
    margin = 0.06 * max(top - low, 0.01)
    return low - margin, top + margin


def _draw_panel(axes: Axes, summary: Summary, cost: _Cost) -> None:
    lowest = _accuracy_limits(summary)[0]
    value = summary.metric.value
    front = {trial.number for trial in summary.front}

    def place(trial: Trial) -> tuple[float, float]:
        return cost.value(pareto.measurement_of(trial)), max(trial.accuracy or 0.0, lowest)

    def point(trial: Trial) -> tuple[float, float]:
        x, share = place(trial)
        return x, value(share)

    for group in _groups(summary):
        for strong in (False, True):
            trials = [trial for trial in group.trials if (trial.number in front) == strong]
            points = list(map(point, trials))
            _dots(axes, group, trials, [x for x, _ in points], [y for _, y in points], strong)
    places = sorted(map(place, summary.measured))
    if places:
        x_values = [x for x, _ in places]
        reached = [value(share) for share in accumulate((y for _, y in places), max)]
        axes.step(x_values, reached, where="post", color=_INK, linewidth=1.2, zorder=2)
    axes.axhline(
        value(summary.accuracy_target), color=_TARGET, linewidth=1.1, linestyle="--", zorder=1
    )
    if summary.baseline is not None:
        axes.add_line(_star(point(summary.baseline)))
    if summary.chosen is not None:
        axes.add_line(_ring(point(summary.chosen)))
    axes.set_xlabel(cost.name)


def _dots(
    axes: Axes,
    group: _Group,
    trials: Sequence[Trial],
    x: Sequence[float],
    y: Sequence[float],
    strong: bool,
) -> None:
    """Draw a dot per trial; strong ones are large and outlined."""
    axes.scatter(
        x,
        y,
        s=44 if strong else 26,
        c=group.color,
        marker=group.marker,
        alpha=1.0 if strong else 0.4,
        edgecolors="white" if strong else "none",
        linewidths=0.6,
        clip_on=False,  # those at the lower edge stay whole
        zorder=4 if strong else 3,
    )


def _star(*points: tuple[float, float]) -> Line2D:
    x, y = [x for x, _ in points], [y for _, y in points]
    star = Line2D(x, y, marker="*", linestyle="none", label="int8 baseline", zorder=5)
    star.set(markersize=14, markerfacecolor=_INK, markeredgecolor="white")
    return star


def _ring(*points: tuple[float, float]) -> Line2D:
    x, y = [x for x, _ in points], [y for _, y in points]
    ring = Line2D(x, y, marker="o", linestyle="none", label="chosen", zorder=5)
    ring.set(markersize=13, markerfacecolor="none", markeredgecolor=_INK, markeredgewidth=1.8)
    return ring


def _legend(summary: Summary) -> list[Line2D]:
    handles = [
        Line2D([], [], color=group.color, marker=group.marker, linestyle="none", label=group.label)
        for group in _groups(summary)
    ]
    handles += [
        Line2D([], [], color=_INK, label=f"best {summary.metric.title} for the cost"),
        Line2D([], [], color=_TARGET, linestyle="--", label=f"{summary.metric.title} target"),
    ]
    if summary.baseline is not None:
        handles.append(_star())
    if summary.chosen is not None:
        handles.append(_ring())
    return handles
