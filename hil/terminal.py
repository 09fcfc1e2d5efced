"""Progress on stderr: a bar on a terminal, otherwise a plain line every ten seconds.

A bar moves by itself, also while nothing is told. Its text may have several lines, since one holds
little beside the bar on a terminal of 80 columns.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Column
from rich.text import Text

from compress.pipeline.diagnosis import Remark
from hil.formatting import duration

PLAIN_INTERVAL_S = 10.0
_KNOWN_RATE_S = 2.0  # before that a rate is mostly what happens once

ShowProgress = Callable[[float, str], None]
"""A callback that takes the share done, 0..1, and the text to show."""


_quiet = False


def be_quiet() -> None:
    """Show no progress and no notes from now on; warnings and errors stay."""
    global _quiet
    _quiet = True


@functools.cache
def _stderr() -> Console:
    return Console(stderr=True, highlight=False)


def notes_console() -> Console:
    """The console for what is good to know and disturbs no result: stderr, silent if asked to.

    There is one in a process: what is printed while a bar is shown has to go above the bar.
    """
    console = _stderr()
    console.quiet = _quiet
    return console


def note(text: str) -> None:
    """Print what is good to know on stderr, above a bar that is shown."""
    _print_prose(notes_console(), Text(text))


def warn(remark: Remark) -> None:
    """Print a warning on stderr, where it disturbs no result; also in a quiet command."""
    console = Console(stderr=True, highlight=False) if _quiet else notes_console()
    _print_prose(console, Text(f"warning: {remark.text}", style="yellow"))


def _print_prose(console: Console, text: Text) -> None:
    """Wrapped between words on a terminal, elsewhere in one line."""
    console.print(text, soft_wrap=not console.is_terminal)


class ProgressLine:
    """A progress line that is updated in place; nothing is written before the first update."""

    def __init__(
        self, console: Console | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console or notes_console()
        self._now = now
        self._progress: Progress | None = None
        self._printed_at = float("-inf")

    def show(self, share: float | None, *lines: str) -> None:
        """Update the line: the share done, 0..1, None if it is not known, and the text."""
        if self._console.quiet:
            return
        if self._console.is_terminal:
            text = "\n".join(lines)
            if self._progress is None:
                self._progress = _bar(self._console)
                self._progress.add_task(text, total=1.0)
                self._progress.start()
            self._progress.update(
                self._progress.task_ids[0],
                total=None if share is None else 1.0,
                completed=share or 0.0,
                description=text,
            )
        elif share is not None and self._now() - self._printed_at >= PLAIN_INTERVAL_S:
            self._printed_at = self._now()
            self._console.print(Text(", ".join(lines)), soft_wrap=True)

    def note(self, text: str) -> None:
        """Print a line that stays, above the bar."""
        _print_prose(self._console, Text(text))

    def close(self) -> None:
        """Remove the bar from the terminal."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


@contextmanager
def working(text: str, console: Console | None = None) -> Iterator[None]:
    """Show on a terminal that `text` goes on, without an end in sight; nothing elsewhere."""
    line = ProgressLine(console)
    line.show(None, f"{text} ...")
    try:
        yield
    finally:
        line.close()


@contextmanager
def progressing(
    title: str,
    count: int = 0,
    unit: str = "",
    console: Console | None = None,
    now: Callable[[], float] = time.monotonic,
) -> Iterator[Callable[[float], None]]:
    """As `working`; yield a callback that takes the share done, 0..1.

    Two seconds after its first call it is shown with the time left by the rate since then, and, of
    `count` things called `unit`, with how many are done in a second.
    """
    line, first = ProgressLine(console, now), list[tuple[float, float]]()
    line.show(None, f"{title} ...")

    def tick(share: float) -> None:
        first.append((share, now()))
        del first[1:]
        done, elapsed_s = share - first[0][0], now() - first[0][1]
        if elapsed_s < _KNOWN_RATE_S:
            return
        rate = f", {_rate(done * count / elapsed_s)} {unit}/s" if count and done > 0 else ""
        left = time_left(done / (1.0 - first[0][0] or 1.0), elapsed_s)
        line.show(share, title, f"{100 * share:.0f} %{rate}{left}")

    try:
        yield tick
    finally:
        line.close()


def _rate(per_s: float) -> str:
    """A rate in two digits or more: `0.25`, `3.1`, `1,200`."""
    return f"{per_s:,.{0 if per_s >= 10 else 1 if per_s >= 1 else 2}f}"


@contextmanager
def training_progress(
    title: str,
    console: Console | None = None,
    epochs: float | None = None,
    now: Callable[[], float] = time.monotonic,
) -> Iterator[Callable[[float], None]]:
    """Yield a callback that takes the share done, 0..1; nothing is shown before its first call.

    It shows the epoch, if their number is given, and the time left by the rate since the first one.
    """
    line, first = ProgressLine(console, now), list[tuple[float, float]]()

    def tick(share: float) -> None:
        first.append((share, now()))
        del first[1:]
        done, elapsed_s = share - first[0][0], now() - first[0][1]
        text = f"{title}, {100 * share:.0f} %"
        if epochs is not None:
            of = ceil(epochs)
            text += f", epoch {min(int(share * epochs) + 1, of)} of {of}"
        line.show(share, text + time_left(done / (1.0 - first[0][0] or 1.0), elapsed_s))

    try:
        yield tick
    finally:
        line.close()


def time_left(share: float, elapsed_s: float) -> str:
    """`, about 40 s left` by the rate so far; "" while that says nothing yet, and at the end."""
    if elapsed_s < _KNOWN_RATE_S or not 0.0 < share < 1.0:
        return ""
    return f", about {duration(elapsed_s * (1.0 - share) / share)} left"


def _bar(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(table_column=Column(width=1)),
        BarColumn(bar_width=12, table_column=Column(width=12)),
        TextColumn(
            "{task.description}",
            markup=False,
            table_column=Column(ratio=1, overflow="fold"),
        ),
        console=console,
        transient=True,
        expand=True,
        redirect_stdout=False,  # stdout belongs to --json
    )
