"""The picture of `compression.py`: accuracy against weights and instructions, a dot per arm."""

from collections.abc import Callable
from statistics import fmean, stdev

from compression_report import Result, differences
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from hil.report.plots import PALETTE, new_figure, plot_style
from hil.types import Measurement

# What lost more is drawn at the edge: it would squeeze everything else together.
_LOWEST_POINTS = -8.0


def figure_of(by_arm: dict[str, list[Result]]) -> Figure:
    """Points of test accuracy to int8 against the shares of its weights and instructions."""
    with plot_style():
        figure = new_figure(12.5, 5.2)
        weights, count = figure.subplots(1, 2, sharey=True)
        _draw(weights, by_arm, lambda m: m.flash.parts["weights"])
        _draw(count, by_arm, lambda m: m.count)
        weights.set_xlabel("flash for weights, share of int8's")
        count.set_xlabel("instructions, share of int8's")
        weights.set_ylabel("test accuracy, points to int8 (mean and standard deviation)")
        handles, labels = weights.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        return figure


def _draw(axes: Axes, by_arm: dict[str, list[Result]], of: Callable[[Measurement], float]) -> None:
    baseline = by_arm["int8"]
    whole = fmean(of(r.trial.measurement) for r in baseline if r.trial.measurement)
    families = dict.fromkeys(results[0].arm.family for results in by_arm.values())
    for family, (color, marker) in zip(families, (*PALETTE, ("#1f2933", "X")), strict=True):
        x, y, spread = [], [], []
        for results in by_arm.values():
            measured = [r.trial.measurement for r in results if r.trial.measurement]
            if results[0].arm.family == family and measured:
                points = differences(results, baseline)
                x.append(fmean(map(of, measured)) / whole)
                y.append(max(fmean(points), _LOWEST_POINTS))
                spread.append(stdev(points) if len(points) > 1 and y[-1] > _LOWEST_POINTS else 0.0)
        axes.errorbar(
            x, y, spread, fmt=marker, color=color, label=family, markersize=6, elinewidth=0.8,
            alpha=0.85,
        )  # fmt: skip
    axes.axhline(0.0, color="#8a96a3", linewidth=1, linestyle=":")
    axes.set_ylim(_LOWEST_POINTS - 0.4, 2.0)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
