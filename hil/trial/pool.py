"""Where trials are run: the calls that a search makes, whoever answers them.

`LocalPool` has processes of this machine, `hil.farm.pool.FarmPool` machines and boards elsewhere.
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
    """Tries proposals, `count` of them at a time; as a context manager it ends what still runs.

    A future raises BenchError, Mismatch, FirmwareFault or WorkerDied; what is wrong with the
    candidate is in its trial.
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
    """Processes of this machine, each with a context of its own that `start` opens."""

    def __init__(self, count: int, start: Callable[[], Context]) -> None:
        super().__init__(count, start)

    def trial(self, number: int, proposal: Proposal) -> Future[Outcome]:
        """Train, build and measure."""
        return self.submit(try_proposal, number, proposal)

    def final(self, number: int, tflite: bytes) -> Future[Final]:
        """Run a finished network on the test split."""
        return self.submit(measure_final, number, tflite)
