"""Heat maps of tables of numbers, such as the sensitivity of a network's layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from compress.types import LabeledMatrix
from hil.report.plots import new_figure, plot_style

# Readable in grayscale and with every kind of color vision.
_COLORS = "cividis"
_ROW_INCHES, _COLUMN_INCHES = 0.3, 0.6


@dataclass(frozen=True, slots=True)
class Panel:
    """One map: its table, the format of a number, and the ends of the color scale.

    The dark end is `lowest`, which is the larger number where less is better.
    """

    table: LabeledMatrix
    format: str
    lowest: float
    highest: float


def heat_map(panels: Sequence[Panel], title: str) -> Figure:
    """A figure of all panels side by side, with the number in every cell that has one."""
    rows = max(len(panel.table.rows) for panel in panels)
    columns = [len(panel.table.columns) for panel in panels]
    labels_inches = 1.5 * len(panels)
    width_inches = _COLUMN_INCHES * sum(columns) + labels_inches
    with plot_style():
        figure = new_figure(width_inches, _ROW_INCHES * rows + 1.9)
        figure.suptitle(title)
        ratios = [count + labels_inches / len(panels) / _COLUMN_INCHES for count in columns]
        axes = figure.subplots(1, len(panels), width_ratios=ratios, squeeze=False)[0]
        for panel, one in zip(panels, axes, strict=True):
            _draw(one, panel)
        return figure


def _draw(axes: Axes, panel: Panel) -> None:
    table = panel.table
    values = np.array([[np.nan if v is None else v for v in row] for row in table.values], float)
    ends = sorted((panel.lowest, panel.highest))
    reverse = "_r" if panel.lowest > panel.highest else ""
    axes.imshow(values, cmap=_COLORS + reverse, vmin=ends[0], vmax=ends[1], aspect="auto")
    axes.set_title(table.title, fontsize=10)
    axes.set_xticks(range(len(table.columns)), table.columns, rotation=45, ha="right")
    axes.set_yticks(range(len(table.rows)), table.rows)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    middle = (panel.lowest + panel.highest) / 2
    for row, column in np.argwhere(np.isfinite(values)):
        value = values[row, column]
        color = "black" if (value > middle) == (not reverse) else "white"
        text = panel.format.format(value)
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
