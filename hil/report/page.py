"""The page of a run: report.html, one file that opens offline, and the same page while it is live.

The texts are rendered by Jinja with escaping; the data of the plots is one JSON object in the page.
A content security policy lets only the page's own two scripts run, by their hashes, and lets it
fetch nothing (the live page: from its own server). plotly draws the plots.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hil.energy.calibration import calibrated
from hil.files import write_file
from hil.networks.layer_rows import layer_rows
from hil.networks.planned_network import PlannedNetwork, planned_network
from hil.objective.costs import cycles_known
from hil.report import choosing, confirmation, findings, methods, originals, time_profile
from hil.report.caveats import caveats
from hil.report.page_data import page_data
from hil.report.summary import Summary
from hil.report.verdict import verdict_of
from hil.store.run_folder import board_of

_TEMPLATES = "templates_html"
# How the page calls the networks whose layers and memory it shows.
INT8, CHOSEN = "int8", "chosen"


def write_html(summary: Summary, path: Path) -> None:
    """Write the page; the networks are read from the folder that it is in. Raises UserError."""
    write_file(path, render_page(summary, path.parent).encode())


def render_page(summary: Summary, folder: Path, live: bool = False) -> str:
    """The whole page of the run in `folder`."""
    networks = _networks(summary, folder)
    library, script = _library(), _text("report.js")
    page = _environment().get_template("report.html.j2")
    return page.render(
        **_context(summary, networks),
        data=page_data(summary, networks, live),
        live=live,
        style=Markup(_text("report.css")),
        library=Markup(library),
        script=Markup(script),
        policy=_policy((library, script), live),
    )


def render_update(summary: Summary, folder: Path) -> dict[str, Any]:
    """What a live page needs to show the run's present state: its data, and its texts as HTML."""
    networks = _networks(summary, folder)
    body = _environment().get_template("body.html.j2")
    return {
        "data": page_data(summary, networks, live=True),
        "html": body.render(**_context(summary, networks), live=True),
    }


def _networks(summary: Summary, folder: Path) -> dict[str, PlannedNetwork | str]:
    """The plans of the int8 and the chosen network, or why they are not known."""
    board = calibrated(board_of(folder, summary.board))
    found = {INT8: planned_network(folder, summary.baseline, board)}
    if summary.chosen != summary.baseline:
        found[CHOSEN] = planned_network(folder, summary.chosen, board)
    return found


def _context(summary: Summary, networks: dict[str, PlannedNetwork | str]) -> dict[str, Any]:
    """What the templates show beside the data of the plots."""
    notes = findings.notes(summary)
    missing = "there is none beside the int8 network"
    before, after = networks[INT8], networks.get(CHOSEN, missing)
    return {
        "summary": summary,
        "verdict": verdict_of(summary),
        "headline": findings.headline(summary),
        "confirmed": confirmation.lines(summary),
        "certainty": findings.certainty(summary),
        "status": findings.status(summary),
        "others": originals.other_lines(summary),
        "remarks": summary.remarks,
        "caveats": caveats(summary, tuple(networks.values())),
        "counted": findings.counted(summary),
        "metric": summary.metric.title,
        "heading": summary.metric.title[0].upper() + summary.metric.title[1:],
        "has_latency": "latency" in notes,
        "has_energy": "energy" in notes,
        "latency_kind": cycles_known(summary.goal.board),
        "chosen": summary.chosen and findings.trial_row(summary, summary.chosen),
        "baseline": summary.baseline and findings.trial_row(summary, summary.baseline),
        "float_val": originals.float_accuracy(summary, "val"),
        "float_test": originals.float_accuracy(summary, "test"),
        "choice": choosing.words(summary),
        "places": [
            (place.role, findings.trial_row(summary, place.candidate.trial))
            for place in choosing.places(summary)
        ],
        "front": [findings.trial_row(summary, trial) for trial in summary.ranked_front()],
        "trials": [findings.trial_row(summary, trial) for trial in summary.trials],
        "parts": findings.memory_rows(summary),
        "classes": originals.class_rows(summary),
        "layers": layer_rows(before, after),
        "missing_plans": [one for one in (before, after) if isinstance(one, str)],
        "timed": _unit_of_times(summary, networks),
        "counts": {"before": _has_counts(before), "after": _has_counts(after)},
        "orders": methods.order_rows(summary),
        "genes": methods.gene_rows(summary),
        "notes": notes,
        "provenance": findings.provenance_rows(summary),
        "profile": time_profile.rows(summary.profile),
        "trained": time_profile.sentences(summary.profile),
    }


def _unit_of_times(summary: Summary, networks: dict[str, PlannedNetwork | str]) -> str:
    """What the costs of kernels are in; "" if none was timed."""
    planned = [one for one in networks.values() if isinstance(one, PlannedNetwork)]
    if not any(layer.kernel_cost for one in planned for layer in one.layers):
        return ""
    kinds = {"counted": "cycles", "modelled": "modelled cycles", "none": "instructions"}
    return kinds[cycles_known(summary.goal.board)]


def _has_counts(network: PlannedNetwork | str) -> bool:
    """True if the board counted the network layer by layer."""
    if isinstance(network, str):
        return False
    return any(layer.count is not None for layer in network.layers)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("hil.report", _TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return environment


def _policy(scripts: tuple[str, ...], live: bool) -> str:
    """The content security policy: these scripts alone, and nothing from elsewhere."""
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    connect = "; connect-src 'self'" if live else ""
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        f"img-src data: blob:; base-uri 'none'; form-action 'none'{connect}"
    )


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@cache
def _text(name: str) -> str:
    """A file of the templates' folder as it is."""
    return resources.files("hil.report").joinpath(_TEMPLATES, name).read_text(encoding="utf-8")


@cache
def _library() -> str:
    """plotly's JavaScript, which its Python package carries."""
    from plotly.offline import get_plotlyjs  # a moment that other commands need not wait

    return str(get_plotlyjs())
