"""report.html needs no other file, whatever its content, and its plots show every trial."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import PathCollection

from compress.errors import UserError
from helpers.checkout import ROOT
from helpers.reports import BASE, HOSTILE, SMALL, TRIALS, Page, make, many, printed
from helpers.trials import BASELINE, infeasible
from hil.board import load_board
from hil.objective.goal import ObjectiveWeights, make_goal
from hil.report.plots import pareto_figure, progress_figure
from hil.report.report import (
    print_table,
    write_report,
)
from hil.report.report import write_html as write
from hil.types import Trial


@pytest.mark.parametrize(
    ("trials", "target", "words"),
    [
        ((), 0.95, "No trial has been measured yet"),
        ((infeasible(1, BASELINE),), 0.95, "No trial has been measured yet"),
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
    assert "script" not in page.tags
    assert all(link.startswith("#") or link == "data:," for link in page.links)
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert [name for name in page.ids if name.startswith("trial-")] == [
        f"trial-{trial.number}" for trial in trials
    ]
    assert page.tags.count("svg") == bool(summary.measured) + bool(summary.baseline)


def test_page_shows_the_chosen_beside_the_baseline(tmp_path: Path) -> None:
    write(make(tmp_path), tmp_path / "report.html")
    text = " ".join(Page(tmp_path / "report.html").text.split())
    assert "19.53 KiB 0.50x of 39.06 KiB" in text
    assert "flash weights 31,000 11,000 0.35x" in text
    assert f"infeasible: {HOSTILE}" in text
    assert "trial 3: prune → quantize" in text  # a dot's tooltip


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


def test_progress_line_is_the_best_so_far(tmp_path: Path) -> None:
    figure = progress_figure(make(tmp_path))
    assert figure is not None
    line = np.asarray(figure.axes[0].lines[0].get_xydata())
    small = (0.5 * 0.5 * 0.25) ** (1 / 3)
    assert line.tolist() == [[1, 1], [3, pytest.approx(small)], [4, pytest.approx(small)]]
    assert progress_figure(make(tmp_path / "other", (SMALL,))) is None


def test_progress_is_told_against_the_baseline_that_weights_make(tmp_path: Path) -> None:
    """With a weight for accuracy only, the baseline's score is 0, since it loses nothing."""
    goal = make_goal(load_board("m4"), 0.9, weights=ObjectiveWeights(1.0, 0.0, 0.0, 0.0, 0.0))
    figure = progress_figure(make(tmp_path, (BASE, SMALL), goal=goal))
    assert figure is not None
    axes = figure.axes[0]
    assert axes.get_ylabel() == "score (baseline = 0)"
    dots = [one for one in axes.collections if isinstance(one, PathCollection)]
    drawn = np.concatenate([np.asarray(one.get_offsets()) for one in dots])
    # BASE is trial 1; SMALL, trial 3, has lost one point of accuracy
    assert sorted(drawn.tolist()) == [[1.0, 0.0], [3.0, pytest.approx(1.0)]]


def test_drawing_changes_nothing_global(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    write_report(make(tmp_path), tmp_path)
    assert dict(mpl.rcParams) == before
    script = "import hil.report.report, sys; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0
