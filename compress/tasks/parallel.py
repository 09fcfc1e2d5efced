"""A parallel map over chunks of work in two processes, with a progress bar on stderr."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence, Sized
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from compress.errors import HilError

_PROCESSES = 2

Chunk = TypeVar("Chunk", bound=Sized)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Workers:
    """Worker processes, with a progress bar for each map."""

    pool: ProcessPoolExecutor
    progress: Progress

    def map(
        self, description: str, function: Callable[[Chunk], Result], chunks: Sequence[Chunk]
    ) -> list[Result]:
        """The results of `function` for all chunks, in order; progress counts their elements.

        Raises HilError if a process dies.
        """
        bar = self.progress.add_task(description, total=sum(len(chunk) for chunk in chunks))
        results: list[Result] = []
        try:
            for chunk, result in zip(chunks, self.pool.map(function, chunks), strict=True):
                results.append(result)
                self.progress.advance(bar, len(chunk))
        except BrokenProcessPool as error:
            raise HilError(f"{description}: a process died (out of memory, or killed)") from error
        return results


@contextmanager
def workers() -> Iterator[Workers]:
    """Two spawned worker processes: a fork would inherit torch's threads in unknown states."""
    context = multiprocessing.get_context("spawn")
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with ProcessPoolExecutor(_PROCESSES, context, _leave_interrupts_to_parent) as pool, progress:
        yield Workers(pool, progress)


def _leave_interrupts_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _RateColumn(ProgressColumn):
    """The rate in elements per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.0f}/s")
