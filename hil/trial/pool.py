"""Pools that run trials: the protocol, and the pool of local processes.

The other implementation, on many machines, is `hil.farm.pool.FarmPool`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Protocol, Self

from hil.search.engine import Proposal
from hil.store.store import Final
from hil.trial.candidate import Context, Outcome, measure_final, try_proposal
from hil.trial.workers import Workers


class Pool(Protocol):
    """A pool that runs `count` trials at a time; a context manager that cancels the rest on exit.

    `trial` tries a proposal; `final` measures a finished network on the test split. Their futures
    raise BenchError, Mismatch, FirmwareFault or WorkerDied. An infeasible candidate raises
    nothing: its trial has the reason.
    """

    @property
    def count(self) -> int: ...
    def trial(self, number: int, proposal: Proposal) -> Future[Outcome]: ...
    def final(self, number: int, tflite: bytes) -> Future[Final]: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class LocalPool(Workers):
    """A pool of `count` processes on this machine; `start` opens the context of each."""

    def __init__(self, count: int, start: Callable[[], Context]) -> None:
        super().__init__(count, start)

    def trial(self, number: int, proposal: Proposal) -> Future[Outcome]:
        """Submit `try_proposal`."""
        return self.submit(try_proposal, number, proposal)

    def final(self, number: int, tflite: bytes) -> Future[Final]:
        """Submit `measure_final`."""
        return self.submit(measure_final, number, tflite)
