"""A small run, its summary, and readers of the report's page and text."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from compress.genome import Distill, Genome, Prune, Quantize
from helpers.trials import BASELINE, infeasible, measured, pruned
from hil.objective.goal import Goal
from hil.report.report import Summary, summarize
from hil.store.store import Final, RunIdentity, Store
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
    """Trials of a search: sizes and accuracies fall together; several orders, a few failures."""
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
    """A parsed HTML page: links, ids, text and scripts. Asserts that every element is closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.scripts: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    @property
    def data(self) -> dict[str, Any]:
        """The data of the page's plots: its first script."""
        found: dict[str, Any] = json.loads(self.scripts[0])
        return found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")
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
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif self.open and self.open[-1] != "style":
            self.text += " " + plain(data)


def printed(show: Callable[[Console], None], width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    show(console)
    assert isinstance(console.file, io.StringIO)
    return plain(console.file.getvalue())
