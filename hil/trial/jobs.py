"""Jobs under way in a pool, and the results of those that have ended."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Generic, TypeVar

from compress.errors import HilError

_J = TypeVar("_J")
_R = TypeVar("_R")

WORKER_DIED = (
    "a worker process died (out of memory, or killed); finished trials are kept: run again"
)
_POLL_S = 0.5  # how long a caller waits at most before it may show progress again


class WorkerDied(HilError):
    """A worker process ended without answering: out of memory, or killed. A bug of ours."""

    exit_code = 4


class Jobs(Generic[_J, _R]):
    """Jobs that were submitted and have not been collected yet, each with its future."""

    def __init__(self) -> None:
        self._running: dict[Future[_R], _J] = {}

    def __len__(self) -> int:
        return len(self._running)

    @property
    def running(self) -> Collection[_J]:
        """The jobs not collected yet."""
        return self._running.values()

    def add(self, job: _J, future: Future[_R]) -> None:
        """Note that `job` was submitted and that `future` will have its result."""
        self._running[future] = job

    def collect(self, timeout_s: float = _POLL_S) -> list[tuple[_J, Future[_R]]]:
        """Jobs that have ended, taken off; none if none ends within `timeout_s`.

        Those that failed come last, so that the results of the others can be kept before
        `result_of` raises.
        """
        done = wait(self._running, timeout=timeout_s, return_when=FIRST_COMPLETED).done
        return [(self._running.pop(future), future) for future in sorted(done, key=_failed)]


def result_of(future: Future[_R]) -> _R:
    """The future's result. Raises what the job raised, WorkerDied where its process is gone."""
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise WorkerDied(WORKER_DIED) from error


def _failed(future: Future[_R]) -> bool:
    return future.cancelled() or future.exception() is not None
