"""The progress line: its text, its interval, and that stdout stays empty."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from rich.console import Console

from compress.pipeline.diagnosis import Remark
from helpers.trials import BASELINE, PROVENANCE, measured, pruned, screened
from hil.board import load_board
from hil.loop.progress import SearchProgress
from hil.objective.goal import Goal, make_goal
from hil.store.store import RunIdentity, Store
from hil.terminal import note, notes_console, progressing, training_progress, warn, working
from hil.trial.training_file import Training
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
    assert ", 1,800 looked at/h, at most " in line


def test_the_epoch_of_a_training_is_shown_with_its_own_time_left(store: Store) -> None:
    screen = Screen(terminal=False)
    with store, SearchProgress(Budget(), GOAL, screen.console, Clock()) as progress:
        progress.activity = "training the elastic network"
        progress.update(store, running=2, trainings=(Training(11.5, 96.0, 200.0),))
    assert screen.lines()[0].startswith(
        "training the elastic network: epoch 12 of 96, 3 min 20 s left, 0/100 trials"
    )


def test_a_budget_that_is_used_up_says_what_is_waited_for(store: Store) -> None:
    screen, clock = Screen(terminal=False), Clock()
    with store, SearchProgress(Budget(trials=1), GOAL, screen.console, clock) as progress:
        progress.update(store)
        store.add(measured(1, BASELINE))
        clock.seconds = 60.0
        progress.update(store, running=2, trainings=(Training(1.0, 2.0, 30.0),))
        clock.seconds = 120.0
        progress.update(store)
    waits = "budget used up: waiting for 2 trials that began, about 30 s of training"
    assert waits in screen.lines()[1]
    assert ", budget used up, " in screen.lines()[2]
    assert not [line for line in screen.lines() if " 0 s left" in line]


@pytest.mark.parametrize("width", [80, 120])
def test_the_bar_cuts_nothing(store: Store, width: int) -> None:
    screen = Screen(terminal=True)
    screen.console = Console(file=screen.file, force_terminal=True, width=width)
    goal, clock = make_goal(load_board("m4"), 0.9), Clock()
    with store, SearchProgress(Budget(), goal, screen.console, clock) as progress:
        progress.update(store)
        for number in range(1, 31):
            store.add(screened(number, pruned(number / 100), 0.0))
        store.add(measured(31, BASELINE, accuracy=0.97, flash=40_960))
        progress.activity = "looking at sub-networks, generation 12"
        clock.seconds = 100.0
        progress.update(store, running=2, trainings=(Training(11.5, 96.0, 200.0),))
    text = " ".join(" ".join(screen.lines()).split())  # a line may be folded
    assert "…" not in text
    for words in ("3 min 20 s left", "1/100 trials", "30 screened", "at most", "best 97.00 %"):
        assert words in text


def test_a_quiet_command_shows_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.terminal._quiet", True)
    assert notes_console().quiet
    screen = Screen(terminal=True)
    console = Console(file=screen.file, force_terminal=True, quiet=True)
    with working("thinking", console), training_progress("training", console) as tick:
        tick(0.5)
    assert screen.file.getvalue() == ""


def test_work_without_an_end_in_sight_moves_on_a_terminal_only() -> None:
    for terminal in (True, False):
        screen = Screen(terminal)
        with working("loading", screen.console):
            pass
        assert ("loading ..." in screen.file.getvalue()) == terminal


def test_a_training_tells_its_epoch_and_its_time_left() -> None:
    screen, clock = Screen(terminal=False), Clock()
    with training_progress("training digits", screen.console, epochs=30, now=clock) as tick:
        clock.seconds = 100.0  # what was loaded before the first step says nothing of the rate
        tick(0.0)
        clock.seconds = 115.0
        tick(0.25)
    assert screen.lines()[0] == "training digits, 0 %, epoch 1 of 30"
    assert screen.lines()[1] == "training digits, 25 %, epoch 8 of 30, about 45 s left"


def test_a_count_is_shown_with_its_rate_and_time_left_once_it_takes_long() -> None:
    screen, clock = Screen(terminal=False), Clock()
    with progressing("measuring", 1000, "inferences", screen.console, clock) as tick:
        clock.seconds = 100.0  # what was built before says nothing of the rate
        tick(0.0)
        clock.seconds = 101.9
        tick(0.1)
        assert screen.lines() == []
        for clock.seconds, share in ((120.0, 0.25), (129.0, 0.4), (140.0, 1.0)):
            tick(share)
    assert screen.lines() == [
        "measuring, 25 %, 12 inferences/s, about 1 min 0 s left",
        "measuring, 100 %, 25 inferences/s",
    ]
    assert "\x1b" not in screen.file.getvalue()
    with progressing("timing", console=screen.console, now=clock) as tick:
        tick(0.0)
        clock.seconds += 30.0
        tick(0.5)
    assert screen.lines()[2:] == ["timing, 50 %, about 30 s left"]


def test_a_note_goes_above_the_bar_and_is_wrapped_between_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bar is erased before, and shown again below."""
    screen = Screen(terminal=True)
    screen.console.width = 40
    monkeypatch.setattr("hil.terminal._stderr", lambda: screen.console)
    monkeypatch.setattr("hil.terminal._quiet", False)  # whatever a test before asked for
    with working("building"):
        note("data: 1,077 train, 360 val, 360 test samples")
        warn(Remark("few", "few samples"))
    shown = screen.file.getvalue()
    before, _, after = shown.partition("data: 1,077 train, 360 val, 360 test \nsamples\n")
    assert before.endswith("\r\x1b[2K")
    assert "building ..." in after.partition("warning: few samples")[2]
    with working("building"), monkeypatch.context() as quiet:
        quiet.setattr("hil.terminal._quiet", True)
        note("nobody reads it")
    assert "nobody" not in screen.file.getvalue()
