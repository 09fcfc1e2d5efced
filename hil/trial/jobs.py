"""Submitted jobs of a pool, and the collection of those that have ended."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Generic, TypeVar

from compress.errors import HilError

_J = TypeVar("_J")
_R = TypeVar("_R")

WORKER_DIED = (
    "a worker process died (out of memory, killed, or too slow to start); finished trials are "
    "kept: run again"
)
_POLL_S = 0.5  # longest wait before the caller can update its progress line


class WorkerDied(HilError):
    """A worker process ended without a result: out of memory, or killed."""

    exit_code = 4


class Jobs(Generic[_J, _R]):
    """The jobs that were submitted and not collected yet, each with its future."""

    def __init__(self) -> None:
        self._running: dict[Future[_R], _J] = {}

    def __len__(self) -> int:
        return len(self._running)

    @property
    def running(self) -> Collection[_J]:
        """The jobs that are not collected yet."""
        return self._running.values()

    def add(self, job: _J, future: Future[_R]) -> None:
        """Add a submitted `job` whose result will be in `future`."""
        self._running[future] = job

    def collect(self, timeout_s: float = _POLL_S) -> list[tuple[_J, Future[_R]]]:
        """Remove and return the jobs that have ended; none if none ends within `timeout_s`.

        Failed jobs come last, so that the caller stores the other results before `result_of`
        raises.
        """
        done = wait(self._running, timeout=timeout_s, return_when=FIRST_COMPLETED).done
        return [(self._running.pop(future), future) for future in sorted(done, key=_failed)]


def result_of(future: Future[_R]) -> _R:
    """The result of the future. Raises the job's error, or WorkerDied if its process is gone."""
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise WorkerDied(WORKER_DIED) from error


def _failed(future: Future[_R]) -> bool:
    return future.cancelled() or future.exception() is not None
