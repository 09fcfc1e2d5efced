"""A progress bar on stderr, for work of more than two seconds."""

import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_SHOWN_AFTER_S = 2.0

Item = TypeVar("Item")


def with_progress(description: str, items: Sequence[Item]) -> Iterator[Item]:
    """The items; a bar that counts them appears once they have taken two seconds."""
    started = time.monotonic()
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    bar = progress.add_task(description, total=len(items))
    try:
        for item in items:
            if not progress.live.is_started and time.monotonic() - started > _SHOWN_AFTER_S:
                progress.start()
            yield item
            progress.advance(bar)
    finally:
        progress.stop()
