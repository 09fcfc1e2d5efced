"""A pool of many machines: Dask workers train, and those that have the board measure.

Dask runs a job again if its worker died. A job whose board is gone waits a limited time for another
one. Every trial has a thread in the searching process that waits for its result.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
from hil.farm.logs import log_lines
from hil.farm.nodes import (
    TRAIN,
    board_resource,
    check_scheduler,
    resource_name,
    split_resource_name,
)
from hil.farm.source_fingerprint import code_id
from hil.farm.trainings import trainings_of
from hil.farm.worker import Failed, Ticket
from hil.search.engine import Proposal
from hil.store.store import Final
from hil.trial.candidate import Outcome
from hil.trial.jobs import WorkerDied
from hil.trial.start import Start
from hil.trial.training_file import Training

_T = TypeVar("_T")

# Longest time that a search waits for a worker that trains, or for one with its board.
PATIENCE_S = 300.0
_CONNECT_S = 10.0
_LOOK_S = 1.0
_AHEAD = 2  # trials submitted beyond the workers' resources, so that no worker waits for a job
_MOST_TRIALS = 256  # at a time; each has a thread


class FarmPool:
    """The farm whose scheduler is at `address` ("tcp://host:8786"), as a `hil.trial.pool.Pool`.

    Raises UserError if there is no scheduler, or no worker has the board of `start`. Leaving the
    context cancels all jobs; a training that already runs finishes, and its result is dropped.
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
        self._trainings: tuple[Training, ...] = ()
        self._seen = dict.fromkeys(self._needs, self._looked)
        self._threads = ThreadPoolExecutor(_MOST_TRIALS, "trial")

    @property
    def count(self) -> int:
        """The number of jobs that all workers can run now, and a few more."""
        slots = self._look()
        return min(_MOST_TRIALS, sum(slots[need] for need in self._needs) + _AHEAD)

    def trainings(self) -> tuple[Training, ...]:
        """The trainings that workers are in for this search, the one that takes longest first."""
        self._look()
        return self._trainings

    @property
    def words(self) -> str:
        """What goes to the workers, and what they must have themselves, in one line."""
        return self._ticket.words

    def trial(self, number: int, proposal: Proposal) -> Future[Outcome]:
        """Submit a trial: train on any worker, then build and measure where the board is."""
        return self._threads.submit(self._trial, number, proposal)

    def inherited(self, number: int, proposals: Sequence[Proposal]) -> Future[list[Outcome]]:
        """Submit sub-networks of one elastic network, which need no board, to any worker."""
        return self._threads.submit(self._inherited, number, proposals)

    def final(self, number: int, tflite: bytes) -> Future[Final]:
        """Submit the measurement of a finished network on the test split, where the board is."""
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
        if proposal.fidelity < 1.0:  # screened by its accuracy on the host: needs no board
            return Outcome(self._result(trained).trial)
        return self._result(self._submit(board, farm_worker.measure_job, trained))

    def _inherited(self, number: int, proposals: Sequence[Proposal]) -> list[Outcome]:
        train = self._needs[0]
        looked = self._submit(train, farm_worker.inherited_job, number, list(proposals))
        return [Outcome(trial) for trial in self._result(looked)]

    def _final(self, number: int, tflite: bytes) -> Final:
        return self._result(self._submit(self._needs[1], farm_worker.final_job, number, tflite))

    def _submit(
        self, need: str, job: Callable[..., _T | Failed], *arguments: Any
    ) -> distributed.Future[_T | Failed]:
        try:
            # Not pure: for a pure job, Dask would return the former result of equal arguments.
            return self._client.submit(
                job, self._ticket, *arguments, resources={need: 1}, pure=False
            )
        except ClosedClientError as error:
            raise BenchError("the search has ended, or the farm went away") from error

    def _result(self, future: distributed.Future[_T | Failed]) -> _T:
        """The result of the job. Raises the job's error, WorkerDied or BenchError."""
        while True:
            try:
                result = future.result(timeout=_LOOK_S)
                break
            except TimeoutError:
                if future.status == "error":  # a TimeoutError that the job raised
                    raise
                self._check_patience()
            except distributed.KilledWorker as error:
                raise WorkerDied(
                    f"every worker that tried a job died (out of memory?): {error}"
                ) from error
            except (distributed.CancelledError, CommClosedError) as error:
                raise BenchError(f"the farm went away: {error}; run again to continue") from error
        if isinstance(result, Failed):
            told, saved = result.error, result.folder
            where = f", saved in {saved} there" if saved else ""
            told.args = (f"{told} (on {result.host}{where})",)
            raise told
        return result

    def _check_patience(self) -> None:
        """Raise BenchError if for too long no worker trained, or none had the board."""
        if self._closed.is_set():
            raise BenchError("the search has ended")
        slots = self._look()
        for need in self._needs:
            if not slots[need] and time.monotonic() - self._seen[need] > self._patience_s:
                what, _ = split_resource_name(need)
                raise BenchError(
                    f"no worker of the farm {'trains' if what == TRAIN else f'has {what}'} "
                    f"any more, for {self._patience_s:.0f} s, or its scheduler does not answer; "
                    "start one (hil farm worker), then run again to continue"
                )

    def _look(self) -> Counter[str]:
        """The resources of all connected workers, read at most once in `_LOOK_S` seconds."""
        with self._lock:
            if time.monotonic() - self._looked > _LOOK_S and self._client.status == "running":
                # If the scheduler is lost now, the futures of its jobs raise the error.
                with suppress(OSError):
                    try:
                        workers = connected_workers(self._client)
                    except TimeoutError:
                        workers = {}  # a scheduler that hangs offers nothing
                    self._slots = offered_resources(workers)
                    self._trainings = trainings_of(workers, self._ticket.session)
                    self._looked = time.monotonic()
                    self._seen.update({n: self._looked for n in self._needs if self._slots[n]})
            return self._slots


def required_resources(board: str) -> tuple[str, str]:
    """The resources that a search on `board` needs: that to train, and that to measure."""
    code = code_id()
    return resource_name(TRAIN, code), resource_name(board_resource(board), code)


def check_farm(address: str, board: str) -> None:
    """Check that there is a farm with a worker that trains and one with the board.

    Raises UserError otherwise.
    """
    client = connect_farm(address)
    try:
        check_resources(client, board, address)
    finally:
        client.close(timeout=_CONNECT_S)


def connect_farm(address: str) -> distributed.Client:
    """A connection to the scheduler at `address`. Raises UserError if there is none."""
    log_lines(logging.CRITICAL)  # what ends a search is raised
    # A Dask client that cannot connect would retry and log in the background: check first.
    asyncio.run(check_scheduler(address, "client", _CONNECT_S))
    try:
        return distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(f"the farm at {address!r} went away: {error}") from error


def connected_workers(client: distributed.Client) -> Mapping[str, Any]:
    """The scheduler's facts about each worker. Raises OSError if there is no answer."""
    if client.scheduler is None:  # not connected
        return {}
    told = client.sync(client.scheduler.identity, n_workers=-1, callback_timeout=_CONNECT_S)
    found: Mapping[str, Any] = told["workers"]
    return found


def offered_resources(workers: Mapping[str, Any]) -> Counter[str]:
    """The count of each resource over all workers, from the scheduler's facts about them."""
    slots: Counter[str] = Counter()
    for worker in workers.values():
        slots.update({name: int(count) for name, count in worker["resources"].items()})
    return slots


def check_resources(client: distributed.Client, board: str, address: str) -> Counter[str]:
    """The farm's resources, after a check that workers with this code train and have the board.

    Raises UserError otherwise.
    """
    try:
        slots = offered_resources(connected_workers(client))
    except OSError as error:
        raise UserError(f"the farm at {address} went away: {error}") from error
    code, offered = code_id(), {split_resource_name(name) for name, count in slots.items() if count}
    ours = {what for what, by in offered if by == code}
    others = sorted({by for _, by in offered} - {code})
    differ = (
        f"; workers there have other code: {' or '.join(others)}, here is {code}" if others else ""
    )
    if board_resource(board) not in ours:
        boards = sorted(what.partition(":")[2] for what in ours - {TRAIN})
        there = f"boards there: {', '.join(boards)}" if boards else "no worker has a board"
        raise UserError(
            f"no worker of the farm at {address} has board {board} ({there}); start on the "
            f"machine that has it: hil farm worker {address} --board {board}{differ}"
        )
    if TRAIN not in ours:
        raise UserError(
            f"no worker of the farm at {address} trains; start on any machine: "
            f"hil farm worker {address}{differ}"
        )
    return slots
