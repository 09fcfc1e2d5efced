"""The progress line: its text, its interval, and that stdout stays empty."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from rich.console import Console

from helpers.trials import BASELINE, PROVENANCE, measured, pruned, screened
from hil.board import load_board
from hil.loop.progress import SearchProgress
from hil.objective.goal import Goal, make_goal
from hil.store.store import RunIdentity, Store
from hil.terminal import training_progress
from hil.types import NO_ORACLE


@dataclass(frozen=True)
class Budget:
    trials: int = 100
    minutes: float = 60.0
    patience_trials: int = 100


GOAL = Goal.of(load_board("m4"), 0.95)


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Screen:
    """A console, a terminal or not, and the text written to it."""

    def __init__(self, terminal: bool) -> None:
        self.file = io.StringIO()
        self.console = Console(file=self.file, force_terminal=terminal, width=150)

    def lines(self) -> list[str]:
        return self.file.getvalue().replace("\N{NO-BREAK SPACE}", " ").splitlines()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path, RunIdentity("digits", "m4", 1, "5e"))


def test_plain_lines_are_ten_seconds_apart(store: Store) -> None:
    screen, clock = Screen(terminal=False), Clock()
    with store, SearchProgress(Budget(), GOAL, screen.console, clock) as progress:
        for second in range(31):
            clock.seconds = second
            progress.update(store)
    assert len(screen.lines()) == 4
    assert screen.lines()[0].startswith("0/100 trials")


def test_line_names_the_best_that_meets_the_accuracy(store: Store) -> None:
    screen, clock = Screen(terminal=False), Clock()
    with store, SearchProgress(Budget(), GOAL, screen.console, clock) as progress:
        store.add(measured(1, pruned(0.1), accuracy=0.90, flash=10_240))
        progress.update(store)
        store.add(measured(2, BASELINE, accuracy=0.97, flash=40_960))
        store.add(measured(3, pruned(0.5), accuracy=0.96, flash=20_480, count=250_000))
        clock.seconds = 10.0
        progress.update(store, generation=4)
    assert "none meets the accuracy yet" in screen.lines()[0]
    assert "best 96.00 %, 20.00 KiB, 250.0 k instructions" in screen.lines()[1]
    assert "generation 4" in screen.lines()[1]


@pytest.mark.parametrize(
    ("minutes", "left"),
    [(600.0, "at most 1 h 35 min left"), (30.0, "at most 30 min 0 s left")],
    ids=["trials end first", "minutes end first"],
)
def test_time_left_is_that_of_the_nearer_budget(store: Store, minutes: float, left: str) -> None:
    screen, clock = Screen(terminal=False), Clock()
    with store:
        store.add(measured(1, BASELINE))  # of an earlier session: says nothing about the rate
        with SearchProgress(Budget(minutes=minutes), GOAL, screen.console, clock) as progress:
            progress.update(store)
            for number in range(2, 6):
                store.add(measured(number, pruned(1 / number)))
            clock.seconds = 240.0  # four trials in four minutes, 95 to go
            progress.update(store)
    assert "5/100 trials" in screen.lines()[1]
    assert "60 trials/h" in screen.lines()[1]
    assert left in screen.lines()[1]


def test_line_counts_what_was_screened_and_knows_the_limits(store: Store) -> None:
    screen = Screen(terminal=False)
    goal = make_goal(load_board("m4"), 0.9, max_flash=30_720)
    small = measured(2, pruned(0.5), accuracy=0.95, flash=20_480, ram=20_000, count=9_000_000)
    with store, SearchProgress(Budget(), goal, screen.console, Clock()) as progress:
        store.add(measured(1, BASELINE, accuracy=0.97, flash=40_960))
        store.add(small)
        for number in (3, 4):
            early = replace(small, number=number, genome=pruned(1 / number), fidelity=0.25)
            store.add(replace(early, state="screened", measurement=None))
        progress.update(store)
    assert screen.lines()[0].startswith("2/100 trials, 2 screened")
    assert "best 95.00 %, 20.00 KiB" in screen.lines()[0]


def test_bar_on_a_terminal_leaves_stdout_alone(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = Screen(terminal=True)
    with store, SearchProgress(Budget(), GOAL, screen.console) as progress:
        progress.update(store)
        progress.show(2 / 9, "2/9 networks on the test split")
        print("{}")
    assert "2/9 networks on the test split" in screen.file.getvalue()
    assert screen.file.getvalue().endswith("\x1b[2K")  # the line is cleared behind it
    assert capsys.readouterr().out == "{}\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_training_that_never_ticks_shows_nothing(terminal: bool) -> None:
    screen = Screen(terminal)
    with training_progress("training digits", screen.console):
        pass
    assert screen.file.getvalue() == ""
    with training_progress("training digits", screen.console) as tick:
        tick(0.25)
        tick(0.5)
    assert "training digits, 25 %" in " ".join(screen.lines())


def test_the_first_network_that_no_oracle_judged_is_said(store: Store) -> None:
    screen = Screen(terminal=False)
    judged = measured(1, BASELINE, provenance=replace(PROVENANCE, oracles="one 1.0"))
    with store, SearchProgress(Budget(), GOAL, screen.console, Clock()) as progress:
        progress.note_unjudged(judged)
        progress.note_unjudged(measured(2, BASELINE))  # not recorded, or not measured
        assert screen.lines() == []
        for number in (3, 4):
            unjudged = replace(PROVENANCE, oracles=NO_ORACLE)
            progress.note_unjudged(measured(number, BASELINE, provenance=unjudged))
    (line,) = screen.lines()
    assert line.startswith("trial 3: no oracle judged its network")


def test_what_the_engine_does_comes_first_with_the_rate_of_looks(store: Store) -> None:
    screen, clock = Screen(terminal=False), Clock()
    with store, SearchProgress(Budget(), GOAL, screen.console, clock) as progress:
        progress.update(store)
        for number in range(1, 31):
            store.add(screened(number, pruned(number / 100), 0.0))
        progress.activity = "30 sub-networks looked at"
        clock.seconds = 60.0
        progress.update(store)
    line = screen.lines()[-1]
    assert line.startswith("30 sub-networks looked at, 0/100 trials, 30 screened, ")
    assert line.endswith("1,800 looked at/h")
