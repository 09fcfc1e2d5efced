"""Progress on stderr: a bar on a terminal, otherwise a plain line every ten seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Column
from rich.text import Text

from compress.pipeline.diagnosis import Remark

PLAIN_INTERVAL_S = 10.0

ShowProgress = Callable[[float, str], None]
"""A callback that takes the share done, 0..1, and the text to show."""


def warn(remark: Remark) -> None:
    """Print a warning on stderr, where it disturbs no result."""
    Console(stderr=True).print(Text(f"warning: {remark.text}", style="yellow"), soft_wrap=True)


class ProgressLine:
    """A progress line that is updated in place; nothing is written before the first update."""

    def __init__(
        self, console: Console | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console or Console(stderr=True)
        self._now = now
        self._progress: Progress | None = None
        self._printed_at = float("-inf")

    def show(self, share: float, text: str) -> None:
        """Update the line: the share done, 0..1, and the text."""
        if self._console.is_terminal:
            if self._progress is None:
                self._progress = _bar(self._console)
                self._progress.add_task(text, total=1.0)
                self._progress.start()
            self._progress.update(self._progress.task_ids[0], completed=share, description=text)
        elif self._now() - self._printed_at >= PLAIN_INTERVAL_S:
            self._printed_at = self._now()
            self._console.print(Text(text), soft_wrap=True)

    def note(self, text: str) -> None:
        """Print a line that stays, above the bar."""
        self._console.print(Text(text), soft_wrap=True)

    def close(self) -> None:
        """Remove the bar from the terminal."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


@contextmanager
def training_progress(
    title: str, console: Console | None = None
) -> Iterator[Callable[[float], None]]:
    """Yield a callback that takes the share done, 0..1; nothing is shown before its first call."""
    line = ProgressLine(console)
    try:
        yield lambda share: line.show(share, f"{title}, {100 * share:.0f} %")
    finally:
        line.close()


def _bar(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(table_column=Column(width=1)),
        BarColumn(bar_width=12, table_column=Column(width=12)),
        TextColumn(
            "{task.description}",
            markup=False,
            table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
        ),
        console=console,
        transient=True,
        expand=True,
        redirect_stdout=False,  # stdout belongs to --json
    )
