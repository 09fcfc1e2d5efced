"""Pools that run trials: the protocol, and the pool of local processes.

The other implementation, on many machines, is `hil.farm.pool.FarmPool`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from hil.search.engine import Proposal
from hil.store.store import Final
from hil.trial.candidate import Context, Outcome, measure_final, try_proposal
from hil.trial.inherited import look_at
from hil.trial.training_file import Training
from hil.trial.workers import Workers


class Pool(Protocol):
    """A pool that runs `count` trials at a time; a context manager that cancels the rest on exit.

    `trial` tries a proposal; `inherited` looks at sub-networks of one elastic network, whose trials
    are numbered from `number` on; `final` measures a finished network on the test split. Their
    futures raise BenchError, Mismatch, FirmwareFault or WorkerDied. An infeasible candidate raises
    nothing: its trial has the reason.
    """

    @property
    def count(self) -> int: ...
    def trial(self, number: int, proposal: Proposal) -> Future[Outcome]: ...
    def inherited(self, number: int, proposals: Sequence[Proposal]) -> Future[list[Outcome]]: ...
    def final(self, number: int, tflite: bytes) -> Future[Final]: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


@runtime_checkable
class Watched(Protocol):
    """A pool that knows how far the trainings in its processes are."""

    def trainings(self) -> tuple[Training, ...]: ...


class LocalPool(Workers):
    """A pool of `count` processes on this machine; `start` opens the context of each."""

    def __init__(self, count: int, start: Callable[[], Context]) -> None:
        super().__init__(count, start)

    def trial(self, number: int, proposal: Proposal) -> Future[Outcome]:
        """Submit `try_proposal`, or `look_at` a single sub-network."""
        if proposal.is_inherited:
            return self.submit(_look_at_one, number, proposal)
        return self.submit(try_proposal, number, proposal)

    def inherited(self, number: int, proposals: Sequence[Proposal]) -> Future[list[Outcome]]:
        """Submit `look_at`."""
        return self.submit(look_at, number, proposals)

    def final(self, number: int, tflite: bytes) -> Future[Final]:
        """Submit `measure_final`."""
        return self.submit(measure_final, number, tflite)


def _look_at_one(context: Context, number: int, proposal: Proposal) -> Outcome:
    return look_at(context, number, [proposal])[0]
