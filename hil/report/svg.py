"""A figure of `hil.report.plots` as an <svg> element inside an HTML page.

No scripts and no requests; every dot links to its trial's row in the page and shows the trial's
figures when it is pointed at.
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
    """The element's text, the same for the same run; `label` is for those who cannot see it."""
    text = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    # fonttype none: text stays text; hashsalt: the names of clip paths do not change by chance
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": label}):
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    tips = {f"#trial-{trial.number}": _tip(trial) for trial in summary.measured}

    def with_tip(link: re.Match[str]) -> str:
        return f'<a xlink:href="{link[1]}"><title>{escape(tips[link[1]])}</title>'

    element = text.getvalue().partition("<svg")[2]  # after the XML and document type declarations
    element = re.sub(r'<g id="[^"]*"', "<g", element)  # would repeat in a page of several figures
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
