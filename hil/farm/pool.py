"""A pool of many machines: Dask workers train and, where the board is, measure.

Dask runs a job again where its worker died; a job whose board is gone waits for another one, for a
limited time. Every trial has a thread here that waits for its answer.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import distributed
from distributed.client import ClosedClientError
from distributed.comm.core import CommClosedError

from compress.errors import UserError
from hil.errors import BenchError
from hil.farm import worker as farm_worker
from hil.farm.nodes import (
    TRAIN,
    board_resource,
    check_scheduler,
    resource_name,
    split_resource_name,
)
from hil.farm.source_fingerprint import code_id
from hil.farm.worker import Failed, Ticket
from hil.search.engine import Proposal
from hil.store.store import Final
from hil.trial.candidate import Outcome
from hil.trial.jobs import WorkerDied
from hil.trial.start import Start

_T = TypeVar("_T")

# How long a search bears that no connected worker has its board, or none trains.
PATIENCE_S = 300.0
_CONNECT_S = 10.0
_LOOK_S = 1.0
_AHEAD = 2
_MOST_TRIALS = 256


class FarmPool:
    """The farm whose scheduler is at `address` ("tcp://host:8786"), as a `hil.trial.pool.Pool`.

    Raises UserError if there is no scheduler, or no worker has the board of `start`. Leaving the
    context cancels what runs; a training that has begun ends unheard.
    """

    def __init__(self, address: str, start: Start, patience_s: float = PATIENCE_S) -> None:
        self._needs = required_resources(start.board.name)
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._ticket = Ticket.of(start, uuid.uuid4().hex[:12])
        self._client = connect_farm(address)
        try:
            self._slots = check_resources(self._client, start.board.name, address)
        except BaseException:
            self._client.close(timeout=_CONNECT_S)
            raise
        self._looked = time.monotonic()
        self._seen = dict.fromkeys(self._needs, self._looked)
        self._threads = ThreadPoolExecutor(_MOST_TRIALS, "trial")

    @property
    def count(self) -> int:
        """As many as all workers train and measure now, and a few more, so that none waits."""
        slots = self._look()
        return min(_MOST_TRIALS, sum(slots[need] for need in self._needs) + _AHEAD)

    def trial(self, number: int, proposal: Proposal) -> Future[Outcome]:
        """Train on any worker, then build and measure where the board is."""
        return self._threads.submit(self._trial, number, proposal)

    def final(self, number: int, tflite: bytes) -> Future[Final]:
        """Run a finished network on the test split, where the board is."""
        return self._threads.submit(self._final, number, tflite)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed.set()
        self._client.close(timeout=_CONNECT_S)
        self._threads.shutdown(cancel_futures=True)

    def _trial(self, number: int, proposal: Proposal) -> Outcome:
        train, board = self._needs
        trained = self._submit(train, farm_worker.train_job, number, proposal)
        if proposal.fidelity < 1.0:  # screened: the host has judged it, no board is needed
            return Outcome(self._answer(trained).trial)
        return self._answer(self._submit(board, farm_worker.measure_job, trained))

    def _final(self, number: int, tflite: bytes) -> Final:
        return self._answer(self._submit(self._needs[1], farm_worker.final_job, number, tflite))

    def _submit(
        self, need: str, job: Callable[..., _T | Failed], *arguments: Any
    ) -> distributed.Future[_T | Failed]:
        try:
            # Not pure: Dask would take equal arguments for an equal answer, and not run it again.
            return self._client.submit(
                job, self._ticket, *arguments, resources={need: 1}, pure=False
            )
        except ClosedClientError as error:
            raise BenchError("the search has ended, or the farm went away") from error

    def _answer(self, future: distributed.Future[_T | Failed]) -> _T:
        """The job's answer. Raises its error, WorkerDied or BenchError."""
        while True:
            try:
                answer = future.result(timeout=_LOOK_S)
                break
            except TimeoutError:
                if future.status == "error":  # the job's own
                    raise
                self._check_patience()
            except distributed.KilledWorker as error:
                raise WorkerDied(
                    f"every worker that tried a job died (out of memory?): {error}"
                ) from error
            except (distributed.CancelledError, CommClosedError) as error:
                raise BenchError(f"the farm went away: {error}; run again to go on") from error
        if isinstance(answer, Failed):
            told, saved = answer.error, answer.folder
            where = f", what was saved is in {saved}" if saved else ""
            told.args = (f"{told} (on {answer.host}{where})",)
            raise told
        return answer

    def _check_patience(self) -> None:
        """Raises BenchError once nobody has been there to train or to measure for too long."""
        if self._closed.is_set():
            raise BenchError("the search has ended")
        slots = self._look()
        for need in self._needs:
            if not slots[need] and time.monotonic() - self._seen[need] > self._patience_s:
                what, _ = split_resource_name(need)
                raise BenchError(
                    f"no worker of the farm {'trains' if what == TRAIN else f'has {what}'} "
                    f"any more, for {self._patience_s:.0f} s, or its scheduler does not answer; "
                    "start one (hil farm worker), then run again to go on"
                )

    def _look(self) -> Counter[str]:
        """What the connected workers offer, not older than a moment."""
        with self._lock:
            if time.monotonic() - self._looked > _LOOK_S and self._client.status == "running":
                # A scheduler lost at this moment is told by the jobs, which it takes with it.
                with suppress(OSError):
                    try:
                        self._slots = offered_resources(self._client)
                    except TimeoutError:
                        self._slots = Counter()  # a scheduler that hangs has nobody to offer
                    self._looked = time.monotonic()
                    self._seen.update({n: self._looked for n in self._needs if self._slots[n]})
            return self._slots


def required_resources(board: str) -> tuple[str, str]:
    """The resources that a search on `board` needs: to train, and to measure."""
    code = code_id()
    return resource_name(TRAIN, code), resource_name(board_resource(board), code)


def check_farm(address: str, board: str) -> None:
    """Raises UserError if there is no farm, or nobody in it trains or has the board."""
    client = connect_farm(address)
    try:
        check_resources(client, board, address)
    finally:
        client.close(timeout=_CONNECT_S)


def connect_farm(address: str) -> distributed.Client:
    """A connection to the scheduler at `address`. Raises UserError if there is none."""
    # Dask's own clients go on trying, and complain, when they are forgotten.
    asyncio.run(check_scheduler(address, "client", _CONNECT_S))
    try:
        return distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(f"the farm at {address!r} went away: {error}") from error


def offered_resources(client: distributed.Client) -> Counter[str]:
    """How many there are of each resource, over all workers. Raises OSError for no answer."""
    slots: Counter[str] = Counter()
    if client.scheduler is None:  # not connected
        return slots
    told = client.sync(client.scheduler.identity, n_workers=-1, callback_timeout=_CONNECT_S)
    for worker in told["workers"].values():
        slots.update({name: int(count) for name, count in worker["resources"].items()})
    return slots


def check_resources(client: distributed.Client, board: str, address: str) -> Counter[str]:
    """The resources. Raises UserError if no worker with our code has the board, or none trains."""
    try:
        slots = offered_resources(client)
    except OSError as error:
        raise UserError(f"the farm at {address} went away: {error}") from error
    code, offered = code_id(), {split_resource_name(name) for name, count in slots.items() if count}
    ours = {what for what, by in offered if by == code}
    others = sorted({by for _, by in offered} - {code})
    differ = f"; workers there have {' or '.join(others)}, here is {code}" if others else ""
    if board_resource(board) not in ours:
        boards = sorted(what.partition(":")[2] for what in ours - {TRAIN})
        there = f"boards there: {', '.join(boards)}" if boards else "no worker has a board"
        raise UserError(
            f"no worker of the farm at {address} has board {board} ({there}); "
            f"where it is: hil farm worker {address} --board {board}{differ}"
        )
    if TRAIN not in ours:
        raise UserError(
            f"no worker of the farm at {address} trains; "
            f"somewhere: hil farm worker {address}{differ}"
        )
    return slots
