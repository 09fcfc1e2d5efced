"""report.html needs no other file, whatever its content, and its plots show every trial."""

from __future__ import annotations

import re
import subprocess
import sys
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html import unescape
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from compress.errors import UserError
from compress.tflite.exporter import export_tflite
from helpers.checkout import ROOT
from helpers.graph_examples import tiny_conv
from helpers.reports import BASE, HOSTILE, SMALL, TRIALS, Page, make, many, plain, printed
from helpers.trials import BASELINE, infeasible
from hil.report.plots import pareto_figure
from hil.report.report import (
    print_table,
    write_report,
)
from hil.report.report import write_html as write
from hil.store.run_folder import save_network
from hil.types import Trial


@pytest.mark.parametrize(
    ("trials", "target", "words"),
    [
        ((), 0.95, "No trial has been measured yet"),
        ((infeasible(1, BASELINE),), 0.95, "No network could be measured"),
        ((BASE,), 0.95, "No network smaller than the int8 baseline"),
        (TRIALS, 0.99, "No measured network reaches the accuracy target of 99.00 %"),
        ((SMALL,), 0.95, "19.53 KiB of flash"),
        (many(300), 0.95, "the flash"),
    ],
    ids=["none", "all infeasible", "one", "target not met", "no baseline", "300"],
)
def test_page_stands_alone(
    tmp_path: Path, trials: tuple[Trial, ...], target: float, words: str
) -> None:
    summary = make(tmp_path, trials, target=target, task=HOSTILE)
    write(summary, tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    assert page.open == []
    assert words in " ".join(page.text.split())
    assert words in " ".join(printed(lambda console: print_table(summary, console)).split())
    assert HOSTILE in page.text
    assert len(page.scripts) == 3  # the data, plotly and the page's own
    assert all(link.startswith("#") or link == "data:," for link in page.links)
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert [name for name in page.ids if name.startswith("trial-")] == [
        f"trial-{trial.number}" for trial in trials
    ]
    assert [trial["number"] for trial in page.data["trials"]] == [
        trial.number for trial in summary.measured
    ]


def test_page_shows_the_chosen_beside_the_baseline(tmp_path: Path) -> None:
    write(make(tmp_path), tmp_path / "report.html")
    text = " ".join(Page(tmp_path / "report.html").text.split())
    assert "flash 0.50x 19.53 KiB of 39.06 KiB" in text
    assert "flash weights 31,000 11,000 0.35x" in text
    assert f"infeasible: {HOSTILE}" in text


def test_only_the_two_scripts_of_the_page_may_run(tmp_path: Path) -> None:
    write(make(tmp_path, task=HOSTILE), tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert found is not None
    rules = dict(rule.strip().split(" ", 1) for rule in unescape(found[1]).split(";"))
    assert rules["default-src"] == "'none'"
    assert "connect-src" not in rules
    hashes = [b64encode(sha256(text.encode()).digest()).decode() for text in page.scripts[1:]]
    assert rules["script-src"].split() == [f"'sha256-{one}'" for one in hashes]


def test_what_a_run_says_does_not_end_the_data(tmp_path: Path) -> None:
    """A name with markup, such as an operator's, stays in the JSON and gives itself back."""
    summary = make(tmp_path)
    graph = tiny_conv()
    first = replace(graph.ops[0], name="</script><script>alert(1)</script>")
    graph = replace(graph, ops=(first, *graph.ops[1:]))
    save_network(tmp_path, SMALL.number, export_tflite(graph))
    write(summary, tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    assert len(page.scripts) == 3
    assert page.data["networks"]["chosen"]["layers"][0] == first.name


def test_every_figure_of_a_trial_is_in_the_data(tmp_path: Path) -> None:
    write(make(tmp_path), tmp_path / "report.html")
    data = Page(tmp_path / "report.html").data
    small = next(one for one in data["trials"] if one["number"] == SMALL.number)
    assert small["genome"] == ["prune (keep 0.5, 1 epoch)", "quantize (as usual)"]
    assert small["values"]["flash"] == 20_000 / 1024
    assert small["values"]["accuracy"] == pytest.approx(96.0)
    assert small["values"]["count"] == 250_000
    figures = {name: plain(f"{value} {ratio}") for name, value, ratio in small["figures"]}
    assert figures["flash: weights"] == "11,000 0.35x"
    assert figures["instructions"] == "250,000 0.25x"
    assert [axis["key"] for axis in data["axes"]] == [
        *("flash", "ram", "count", "accuracy", "score", "number")
    ]


def test_same_run_gives_the_same_files(tmp_path: Path) -> None:
    summary = make(tmp_path, many(12))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_report(summary, tmp_path / name)
    for name in ("report.html", "pareto.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (tmp_path / "a" / "pareto.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_report_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file: File exists"):
        write(make(tmp_path), tmp_path / "file" / "report.html")


def test_panels_show_every_trial_and_the_best_for_each_cost(tmp_path: Path) -> None:
    summary = make(tmp_path, many(60), target=0.9)
    trials = summary.measured
    panel = pareto_figure(summary).axes[0]
    lowest = panel.get_ylim()[0]
    points = {
        (trial.measurement.flash.total / 1024, max(trial.accuracy or 0, lowest))
        for trial in trials
        if trial.measurement is not None
    }
    drawn = np.concatenate([np.asarray(dots.get_offsets()) for dots in panel.collections])
    assert len(drawn) == len(trials)
    assert {tuple(point) for point in drawn.tolist()} == points
    steps = panel.lines[0].get_xydata()
    assert steps is not None
    for cost, reached in np.asarray(steps)[1:].tolist():
        assert reached == max(accuracy for flash, accuracy in points if flash <= cost)


def test_drawing_changes_nothing_global(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    write_report(make(tmp_path), tmp_path)
    assert dict(mpl.rcParams) == before
    script = "import hil.report.report, sys; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0
