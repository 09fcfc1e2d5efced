"""The figures of a study: hypervolume, smallest costs, orders of stages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from hil.report.plots import new_figure, plot_style
from hil.study.choices import FLOORS_POINTS, Choice, aims, kinds
from hil.study.orders import Orders, grouped
from hil.study.result import StudyResult
from hil.study.stats import by_seed
from hil.study.verdicts import ours
from hil.study.volume import Curves, epoch_grid
from hil.types import Floats

_INK, _FAINT, _LOUD = "#1f2933", "#8a96a3", "#d55e00"
# Colors of the other searches: Okabe and Ito's palette without vermilion, our arm's.
_QUIET = ("#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195")
_DASHES = ("--", "-.", ":", (0, (7, 2, 1, 2, 1, 2)), (0, (3, 1)), (0, (1, 1)))
_FLOOR_LOOKS = (("#0b3954", "o"), ("#3f88c5", "s"), ("#a2c8e8", "^"))
_MOST_ORDERS = 10
_FIXED = "best fixed arm"


def hypervolume_figure(result: StudyResult, curves: Mapping[str, Curves]) -> Figure:
    """Mean hypervolume over measurements and over epochs, with bands from minimum to maximum.

    A curve ends with a dot where the last seed of its arm ended. Fixed arms have no bands, and all
    but the best are faint, because there are many.
    """
    with plot_style():
        figure = new_figure(12.5, 5.0)
        left, right = figure.subplots(1, 2, sharey=True)
        counts = np.arange(result.most_measured + 1.0)
        looks, best = _search_looks(result), _best_fixed(result, curves)
        for arm, kind in kinds(result).items():
            if arm not in curves:
                continue
            measured, epochs = _ends(result, arm)
            for axes, x, end, found in (
                (left, counts, measured, curves[arm].by_count),
                (right, epoch_grid(result), epochs, curves[arm].by_epochs),
            ):
                # Up to the first grid point at or beyond the end, which is moved to the end.
                last = min(int(np.searchsorted(x, end)), len(x) - 1)
                along = np.minimum(x[: last + 1], end)
                rows = np.vstack(list(found.values()))[:, : last + 1]
                if kind == "search":
                    _band(axes, along, rows, arm, *looks[arm])
                else:
                    _fixed_line(axes, along, rows.mean(axis=0), arm, arm == best)
        left.set_xlabel("measurements on the board")
        right.set_xlabel("epochs charged, looks included")
        left.set_ylabel("hypervolume (mean, least and most)")
        left.set_xlim(0, 1.02 * result.most_measured)
        right.set_xlim(0, 1.02 * epoch_grid(result)[-1])
        left.set_ylim(bottom=0)
        handles = sorted(
            left.get_legend_handles_labels()[0], key=lambda one: _FIXED in one.get_label()
        )
        if sum(kind != "search" for kind in kinds(result).values()) > 1:
            handles.append(Line2D([], [], color=_FAINT, linewidth=0.8, label="other fixed arms"))
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
        return figure


def floors_figure(result: StudyResult, choices: Sequence[Choice]) -> Figure:
    """The smallest ratios to int8 of every arm, a panel for each cost, a row for each arm.

    Mean and standard deviation over the seeds for each floor; hollow if a seed missed the floor.
    """
    panels = [aim for aim in aims(result) if aim != "image flash"]
    arms = sorted(kinds(result), key=lambda arm: _group(result, arm))
    with plot_style():
        figure = new_figure(12.5, 1.6 + 0.33 * len(arms))
        for axes, aim in zip(
            np.atleast_1d(figure.subplots(1, len(panels), sharey=True)), panels, strict=True
        ):
            for index, (floor, (color, marker)) in enumerate(
                zip(FLOORS_POINTS, _FLOOR_LOOKS, strict=True)
            ):
                for row, arm in enumerate(arms):
                    found = by_seed(choices, arm, floor, aim).values()
                    if found:
                        y = row + 0.24 * (index - 1)
                        _dot(axes, y, list(found), color, marker)
            axes.axvline(1.0, color=_FAINT, linewidth=1, linestyle=":")
            axes.set_title("weighted mean" if aim == "weighted" else aim, fontsize=10)
            axes.set_xlim(0, None)
            axes.xaxis.set_major_formatter(PercentFormatter(1.0))
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.set_yticks(range(len(arms)), arms)
            axes.set_ylim(len(arms) - 0.4, -0.6)
            axes.grid(visible=False, axis="y")
            axes.set_xlabel("smallest, share of int8's")
            _mark_rows(axes, result, arms)
        handles = [
            Line2D([], [], color=color, marker=marker, linestyle="none", label=f"-{floor:g} points")
            for floor, (color, marker) in zip(FLOORS_POINTS, _FLOOR_LOOKS, strict=True)
        ]
        hollow = Line2D([], [], color=_INK, marker="o", linestyle="none", markerfacecolor="white")
        hollow.set_label("not reached in every seed (int8 counted there)")
        figure.legend(handles=[*handles, hollow], loc="outside lower center", ncols=4)
        return figure


def orders_figure(orders: Sequence[Orders], own: str) -> Figure:
    """Bars of how often each order of stages had the best weighted mean, a panel for each floor.

    The wins of the arm `own` are in color. The rarest orders share the last row.
    """
    rows = grouped([Orders(one.floor_points, one.won) for one in orders], _MOST_ORDERS)
    names = list(rows)[::-1]
    with plot_style():
        figure = new_figure(9.5, 1.6 + 0.28 * max(len(names), 2))
        panels = figure.subplots(1, len(orders), sharex=True, sharey=True)
        for axes, one in zip(panels, orders, strict=True):
            won = one.won.get(own, Counter[str]())
            mine = [sum(won[order] for order in rows[name]) for name in names]
            every = [sum(one.all_won[order] for order in rows[name]) for name in names]
            others = [total - part for total, part in zip(every, mine, strict=True)]
            axes.barh(names, mine, color=_LOUD, label=own)
            axes.barh(names, others, left=mine, color="#b8c1cb", label="other searches")
            axes.set_title(f"-{one.floor_points:g} points", fontsize=10)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.grid(visible=False, axis="y")
            axes.set_xlabel("networks of the best weighted mean")
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
        return figure


def _ends(result: StudyResult, arm: str) -> tuple[float, float]:
    """The most measurements, and the most epochs, that the arm used in a seed."""
    traces = [trace for trace in result.traces if trace.arm == arm]
    return max(trace.measured for trace in traces), max(trace.epochs for trace in traces)


def _best_fixed(result: StudyResult, curves: Mapping[str, Curves]) -> str | None:
    """The fixed arm with the largest mean hypervolume at its end; None without fixed arms."""
    fixed = [arm for arm, kind in kinds(result).items() if kind != "search" and arm in curves]
    ends = {arm: curves[arm].at_count(result.budget_measurements) for arm in fixed}
    return max(fixed, key=lambda arm: fmean(ends[arm].values()), default=None)


def _search_looks(result: StudyResult) -> dict[str, tuple[str, object]]:
    own = ours(result)
    others = [arm for arm, kind in kinds(result).items() if kind == "search" and arm != own]
    looks: dict[str, tuple[str, object]] = {
        # Beyond the last color the first ones come again, with other dashes.
        arm: (_QUIET[i % len(_QUIET)], _DASHES[(i + i // len(_QUIET)) % len(_DASHES)])
        for i, arm in enumerate(others)
    }
    return {own: (_LOUD, "-"), **looks}


def _band(axes: Axes, x: Floats, rows: Floats, arm: str, color: str, dashes: object) -> None:
    loud, mean = color == _LOUD, rows.mean(axis=0)
    axes.fill_between(x, rows.min(axis=0), rows.max(axis=0), color=color, alpha=0.12, linewidth=0)
    axes.plot(
        x,
        mean,
        color=color,
        linestyle=dashes,
        linewidth=2.6 if loud else 1.5,
        zorder=4 if loud else 3,
        label=arm,
    )
    axes.plot(x[-1:], mean[-1:], "o", color=color, markersize=6 if loud else 4, zorder=4)


def _fixed_line(axes: Axes, x: Floats, y: Floats, arm: str, is_best: bool) -> None:
    color, width = (_INK, 1.5) if is_best else (_FAINT, 0.8)
    label = f"{arm}, {_FIXED}" if is_best else None
    axes.plot(x, y, color=color, linewidth=width, zorder=5 if is_best else 2, label=label)
    axes.plot(x[-1:], y[-1:], "o", color=color, markersize=2 + width, zorder=5 if is_best else 2)


def _dot(axes: Axes, y: float, found: Sequence[Choice], color: str, marker: str) -> None:
    ratios = [choice.ratio for choice in found]
    everywhere = all(choice.trial is not None for choice in found)
    axes.errorbar(
        np.mean(ratios),
        y,
        xerr=np.std(ratios, ddof=1) if len(ratios) > 1 else None,
        fmt=marker,
        color=color,
        markerfacecolor=color if everywhere else "white",
        markersize=5,
        elinewidth=0.9,
    )


def _group(result: StudyResult, arm: str) -> tuple[bool, int]:
    """The sort key of rows: our arm, other searches, recipes, single methods."""
    return arm != ours(result), ("search", "recipe", "single").index(kinds(result)[arm])


def _mark_rows(axes: Axes, result: StudyResult, arms: Sequence[str]) -> None:
    """Tint the row of our arm, and draw lines between the kinds of arms."""
    for row, arm in enumerate(arms):
        if arm == ours(result):
            axes.axhspan(row - 0.5, row + 0.5, color=_LOUD, alpha=0.12, linewidth=0)
        elif kinds(result)[arm] != kinds(result)[arms[row - 1]]:
            axes.axhline(row - 0.5, color=_FAINT, linewidth=0.8)
    for label in axes.get_yticklabels():
        if label.get_text() == ours(result):
            label.set_color(_LOUD)
            label.set_fontweight("bold")
