"""Conversion of a figure of `hil.report.plots` to an <svg> element of an HTML page.

It needs no scripts and no requests. Every dot links to its trial's row in the page and has a
tooltip with the trial's figures.
"""

from __future__ import annotations

import io
import re
from html import escape

import matplotlib as mpl
from matplotlib.figure import Figure

from hil import formatting
from hil.objective import pareto
from hil.report.summary import Summary
from hil.types import Trial


def svg(figure: Figure, summary: Summary, label: str) -> str:
    """The text of the element, equal for equal runs; `label` is its text for screen readers."""
    text = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    # fonttype none keeps text as text; a fixed hashsalt makes the names of clip paths repeatable
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": label}):
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    tips = {f"#trial-{trial.number}": _tip(trial) for trial in summary.measured}

    def with_tip(link: re.Match[str]) -> str:
        return f'<a xlink:href="{link[1]}"><title>{escape(tips[link[1]])}</title>'

    element = text.getvalue().partition("<svg")[2]  # after the XML and document type declarations
    element = re.sub(r'<g id="[^"]*"', "<g", element)  # ids must be unique in a page
    element = re.sub(r'<a xlink:href="(#trial-\d+)"[^>]*>', with_tip, element)
    return f'<svg role="img" aria-label="{escape(label)}"{element}'


def _tip(trial: Trial) -> str:
    measurement = pareto.measurement_of(trial)
    return (
        f"trial {trial.number}: {formatting.stage_order(trial.genome)}\n"
        f"accuracy {formatting.percent(trial.accuracy or 0.0)}\n"
        f"flash {formatting.kib(measurement.flash.total)} KiB\n"
        f"RAM {formatting.kib(measurement.ram.total)} KiB\n"
        f"{formatting.short_count(measurement.count)} {formatting.COUNT_NOUNS[measurement.counter]}"
    )
