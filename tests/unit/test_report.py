"""What the report says follows from the trials, and its page stands alone, whatever is in it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from rich.console import Console
from trials import BASELINE, infeasible, measured, pruned

from compress.errors import UserError
from compress.genome import Distill, Genome, Prune, Quantize
from hil import findings
from hil.board import load_board
from hil.goal import Goal, Weights, make_goal
from hil.plots import pareto_figure, progress_figure
from hil.report import (
    Summary,
    print_profile,
    print_summary,
    print_table,
    summarize,
    to_json,
    write_report,
)
from hil.report import write_html as write
from hil.store import Final, RunIdentity, Store
from hil.store_merge import merge
from hil.types import Trial

VOID = {"meta", "link", "br", "img", "input", "hr"}
HOSTILE = "<script>alert('&')</script>"

BASE = measured(1, BASELINE, accuracy=0.97, flash=40_000, ram=8_000, count=1_000_000)
SMALL = measured(3, pruned(0.5), accuracy=0.96, flash=20_000, ram=4_000, count=250_000)
TINY = measured(4, pruned(0.1), accuracy=0.90, flash=12_000, ram=2_000, count=50_000)
TRIALS = (BASE, infeasible(2, pruned(0.9), HOSTILE), SMALL, TINY)


def make(
    folder: Path,
    trials: tuple[Trial, ...] = TRIALS,
    *,
    target: float = 0.95,
    task: str = "digits",
    goal: Goal | None = None,
    stopped_by: str = "target",
    finals: tuple[Final, ...] = (),
) -> Summary:
    with Store.open(folder, RunIdentity(task, "m4", 7, "5e" * 32)) as store:
        store.begin_session(target, goal=goal and goal.to_json(), processes=2)
        for trial in trials:
            store.add(trial)
        for final in finals:
            store.add_final(final)
        store.end_session(stopped_by)
        return summarize(store)


def many(number: int) -> tuple[Trial, ...]:
    """A search that gets smaller and less accurate, in several orders, with a few failures."""
    chance = np.random.default_rng(3)
    stages = (Prune((0.5,)), Quantize(99.9), Distill())
    trials = [BASE]
    for index in range(2, number + 1):
        keep = float(chance.uniform(0.1, 1.0))
        order = [stages[i] for i in chance.permutation(3)[: chance.integers(1, 4)]]
        genome = Genome((Prune((keep,)), *order))
        if chance.random() < 0.1:
            trials.append(infeasible(index, genome, HOSTILE))
            continue
        trials.append(
            measured(
                index,
                genome,
                accuracy=float(0.98 - 0.2 * (1 - keep) ** 2 * chance.random()),
                flash=int(12_000 + 28_000 * keep),
                ram=int(2_000 + 6_000 * keep),
                count=int(1e6 * keep),
            )
        )
    return tuple(trials)


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MULTIPLICATION SIGN}", "x")


class Page(HTMLParser):
    """Collects what a browser would fetch, and whether every element that opens also closes."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("href", "src", "xlink:href", "srcset", "data", "action"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += " " + plain(data)


def printed(show: Callable[[Console], None], width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    show(console)
    assert isinstance(console.file, io.StringIO)
    return plain(console.file.getvalue())


def test_summary_follows_from_the_store(tmp_path: Path) -> None:
    summary = make(tmp_path)
    assert (summary.task, summary.board, summary.seed) == ("digits", "m4", 7)
    assert summary.baseline == BASE
    assert summary.front == (BASE, SMALL, TINY)
    assert summary.chosen == SMALL
    assert summary.ranked_front() == (SMALL, BASE, TINY)
    assert summary.stopped_by == "target"


def test_last_session_sets_the_target(tmp_path: Path) -> None:
    make(tmp_path, target=0.95)
    assert make(tmp_path, target=0.89).chosen == TINY
    assert make(tmp_path, target=0.99).chosen is None


def test_last_session_sets_the_limits(tmp_path: Path) -> None:
    m4 = load_board("m4")
    summary = make(tmp_path, goal=make_goal(m4, 0.5, max_flash=25_000))
    assert summary.chosen == TINY
    assert [summary.meets_target(trial) for trial in TRIALS] == [False, False, True, True]
    assert to_json(summary)["goal"]["flash_bytes"] == 25_000
    summary = make(tmp_path, goal=make_goal(m4, 0.5, max_flash=10_000))
    assert summary.chosen is None
    text = " ".join(printed(lambda console: print_table(summary, console)).split())
    assert "keeps all that was asked for: accuracy 50.00 %, at most 9.77 KiB of flash" in text
    assert make(tmp_path, goal=make_goal(m4, 0.95, weights=Weights(1, 0, 0, 0, 0))).chosen == BASE


def test_a_store_that_knows_no_goal_goes_by_the_states(tmp_path: Path) -> None:
    lifted = measured(5, pruned(0.7), accuracy=0.99, flash=600_000)  # hil evolve --limits none
    assert make(tmp_path, (lifted,)).chosen == lifted
    over = replace(lifted, state="infeasible", reason="too large")
    assert make(tmp_path / "other", (over,)).chosen is None


def test_time_and_energy_are_shown_where_known_and_say_what_they_are(tmp_path: Path) -> None:
    assert SMALL.measurement is not None
    modelled = replace(SMALL.measurement, model_cycles=500_000, model_error=0.2)
    summary = make(tmp_path, (BASE, replace(SMALL, measurement=modelled)))
    lines = printed(lambda console: print_table(summary, console)).splitlines()
    line = next(line for line in lines if "★3" in line)
    # 500 kcycles: 20 ms at 25 MHz; 2.78 ms at the part's 180 MHz and 163 mW
    assert line.split()[-2:] == ["20.0", "453"]
    text = " ".join(" ".join(lines).split())
    assert "at 25 MHz: modelled cycles, not measured, \N{PLUS-MINUS SIGN}20 %" in text
    assert "energy: estimate of one inference, \N{PLUS-MINUS SIGN}40 %: 163 mW at 180 MHz" in text
    write(summary, tmp_path / "report.html")
    page = " ".join(Page(tmp_path / "report.html").text.split())
    assert "ms, modelled \N{MICRO SIGN}J, estimate score" in page
    untimed = printed(lambda console: print_table(make(tmp_path / "other"), console))
    assert " ms" not in untimed.split("asked:")[0]


def test_screened_trials_are_counted_and_never_shown(tmp_path: Path) -> None:
    early = replace(SMALL, number=9, state="screened", measurement=None, fidelity=0.25)
    summary = make(tmp_path, (*TRIALS, early))
    text = " ".join(printed(lambda console: print_table(summary, console)).split())
    assert "1 screened, 4 trials in full: 3 measured, 1 infeasible" in text
    write(summary, tmp_path / "report.html")
    assert "trial-9" not in Page(tmp_path / "report.html").ids


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("target", "target met"),
        ("trials", "all trials of the budget used, in all calls together: more --trials go on"),
        ("minutes", "all minutes of the budget used, in all calls together: more --minutes go on"),
        (
            "energy",
            "all energy of the budget used, in all calls together: a larger --energy-budget",
        ),
        ("exhausted", "the engine has nothing left to try"),
        ("interrupt", "interrupted; the same command goes on"),
    ],
)
def test_every_reason_has_a_sentence(tmp_path: Path, reason: str, words: str) -> None:
    summary = make(tmp_path, stopped_by=reason)
    text = " ".join(printed(lambda console: print_table(summary, console)).split())
    assert f"stopped: {words}" in text


def test_profile_on_the_terminal(tmp_path: Path) -> None:
    summary = make(tmp_path)
    text = printed(lambda console: print_profile(summary, console), width=80)
    assert max(map(len, text.splitlines())) <= 80
    step = next(line for line in text.splitlines() if "train " in line)
    assert step.split() == ["train", "6", "s", "85.7", "%"]  # 4 x 1.5 s of 4 x 1.75 s
    assert "trials an hour:" in text


def test_plain_quantization_is_the_baseline(tmp_path: Path) -> None:
    other = measured(1, Genome((Quantize(99.0),)))
    assert make(tmp_path / "one", (other, SMALL)).baseline == other
    plain = measured(9, BASELINE)
    assert make(tmp_path / "two", (other, SMALL, plain)).baseline == plain
    assert make(tmp_path / "three", (SMALL, infeasible(9, BASELINE))).baseline is None


def test_json_is_what_the_design_promises(tmp_path: Path) -> None:
    final = Final(3, "test", 190, 200, 0.955)
    report = json.loads(json.dumps(to_json(make(tmp_path, finals=(final,))), allow_nan=False))
    assert {"task", "board", "baseline", "trials", "front", "chosen", "stopped_by"} <= set(report)
    assert [trial["number"] for trial in report["trials"]] == [1, 2, 3, 4]
    for trial in report["trials"]:
        assert {"number", "genome", "state", "measurement", "reason"} <= set(trial)
    assert report["trials"][1]["measurement"] is None
    assert report["trials"][1]["reason"] == HOSTILE
    assert report["chosen"] == report["trials"][2]
    assert report["baseline"] == report["trials"][0]
    assert [trial["number"] for trial in report["front"]] == [1, 3, 4]
    assert report["chosen"]["measurement"]["flash_bytes"]["total"] == 20_000
    assert report["finals"] == [
        {"number": 3, "split": "test", "correct": 190, "total": 200, "accuracy": 0.955}
    ]


def test_table_shows_values_and_ratios(tmp_path: Path) -> None:
    summary = make(tmp_path, finals=(Final(3, "test", 190, 200, 0.955),))
    text = printed(lambda console: print_table(summary, console))
    line = next(line for line in text.splitlines() if "★3" in line)
    cells = "prune → quantize 96.00 % 192/200 95.50 % 19.53 0.50x 3.91 0.50x 250.0 k 0.25x"
    assert " ".join(line.split()) == f"★3 {cells}"
    assert "0.50x the flash, 0.50x the RAM and 0.25x the instructions" in " ".join(text.split())
    assert "•1" in text
    for word in ("instructions (emulator, exact)", "m4", "arm-none-eabi-gcc", "CMSIS-NN"):
        assert word in text
    assert "4 trials in full: 3 measured, 1 infeasible" in text


def test_narrow_terminal_loses_no_number(tmp_path: Path) -> None:
    summary = make(tmp_path)
    text = printed(lambda console: print_table(summary, console), width=80)
    assert max(map(len, text.splitlines())) <= 80
    line = next(line for line in text.splitlines() if "★3" in line)
    cells = "PQ 96.00 % 192/200 19.53 0.50x 3.91 0.50x 250.0 k 0.25x"
    assert " ".join(line.split()) == f"★3 {cells}"


def test_long_front_says_what_it_hides(tmp_path: Path) -> None:
    trials = tuple(
        measured(n, pruned(1 / n), accuracy=0.99 - n / 1000, flash=40_000 - n) for n in range(1, 31)
    )
    summary = make(tmp_path, trials)
    assert len(summary.front) == 30
    assert "14 more on the front" in printed(lambda console: print_table(summary, console))


def test_trials_from_elsewhere_are_held_to_what_was_asked_there(tmp_path: Path) -> None:
    useless = measured(5, pruned(0.01), accuracy=0.2, flash=9_500, ram=1_500, count=10)
    goal = make_goal(load_board("m4"), 0.955, max_flash=30_000)
    identity = RunIdentity("digits", "m4", 7, "5e" * 32)
    make(tmp_path / "a", (*TRIALS, useless), target=0.955, goal=goal)
    with Store.open(tmp_path / "merged", identity) as store:
        with Store.read(tmp_path / "a") as source:
            merge(store, source)
            merge(store, source)
        merged = summarize(store)
        assert len(store.sessions()) == 1
    assert merged.goal == goal
    assert merged.goal_source == "session"
    assert merged.chosen == SMALL
    assert (merged.used_minutes, merged.stopped_by) == (0.0, "merged")
    text = printed(lambda console: print_table(merged, console))
    assert "merged from other runs" in text
    assert "the task's" not in text


def test_trials_that_nobody_asked_for_are_held_to_the_task(tmp_path: Path) -> None:
    useless = measured(5, pruned(0.01), accuracy=0.2, flash=9_500, ram=1_500, count=10)
    with Store.open(tmp_path, RunIdentity("digits", "m4", 7, "5e" * 32)) as store:
        for trial in (*TRIALS, useless):
            store.add(trial)
        summary = summarize(store)
    assert summary.accuracy_target == 0.95
    assert summary.chosen == SMALL
    assert to_json(summary)["goal_source"] == "task"
    text = " ".join(printed(lambda console: print_table(summary, console)).split())
    assert "asked: accuracy 95.00 % (the task's, as no search has asked for any)" in text


def test_summary_says_where_the_files_are(tmp_path: Path) -> None:
    summary = make(tmp_path)
    text = printed(lambda console: print_summary(summary, Path("runs/x"), console))
    assert "runs/x/report.html" in text


@pytest.mark.parametrize(
    ("trials", "target", "words"),
    [
        ((), 0.95, "No trial has been measured yet"),
        ((infeasible(1, BASELINE),), 0.95, "No trial has been measured yet"),
        ((BASE,), 0.95, "Nothing smaller than the int8 baseline"),
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


def test_a_baseline_that_weights_choose_is_not_called_the_smallest(tmp_path: Path) -> None:
    goal = make_goal(load_board("m4"), 0.9, weights=Weights(accuracy=5.0, flash=1.0))
    large, small = replace(BASE, accuracy=0.97), replace(SMALL, accuracy=0.95)
    summary = make(tmp_path, (large, small), goal=goal)
    assert summary.chosen == large
    assert summary.meets_target(small)
    text = findings.headline(summary)
    assert "Nothing smaller" not in text
    assert text.startswith("By the weights asked for, nothing that reaches the accuracy target")
    assert text.endswith("is better than the int8 baseline yet.")


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


def test_drawing_changes_nothing_global(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    write_report(make(tmp_path), tmp_path)
    assert dict(mpl.rcParams) == before
    script = "import hil.report, sys; sys.exit('matplotlib.pyplot' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", script], cwd=root, check=False).returncode == 0
