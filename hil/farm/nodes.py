"""The processes of a farm: one Dask scheduler, and workers with their resources.

Dask resources limit what a worker runs at a time: one training in each process (`TRAIN`, since
torch's random state is global to the process) and one job on each board (`board_resource`).
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import dask
from distributed import Nanny, Scheduler, Security, Worker
from distributed.comm.addressing import get_address_host, get_address_host_port, unparse_host_port
from distributed.comm.core import connect
from distributed.utils import get_ip

from compress.errors import UserError
from compress.scratch import scratch_folder
from hil.errors import BenchError
from hil.farm.addresses import check_address, check_host
from hil.farm.logs import log_lines
from hil.farm.source_fingerprint import code_id
from hil.farm.trainings import METRIC, training_metric
from hil.trial.semaphores import start_resource_tracker

TRAIN = "train"
# Workers that may die during one job before Dask gives the job up.
_ALLOWED_FAILURES = 3
_CONNECT_S = 30
# For the processes of a worker to start, all at once: each imports torch, which takes long on a
# small or loaded machine.
_START_S = 180
# Dask must time out first, since its error has the reason.
_GRACE_S = 1.0
_LEAVE_S = 10.0
# Errors of Dask for an address that is malformed, in use, unreachable, or lacks certificates.
_BAD_ADDRESS = (OSError, ValueError, RuntimeError, TypeError)
# And where something else answers, the beginning of which Dask takes for lengths.
_NO_DASK = (MemoryError, EOFError, LookupError, OverflowError)


class _FarmScheduler(Scheduler):
    """A scheduler that serves no web pages: nobody is asked who they are there."""

    def start_http_server(self, *_: Any, **__: Any) -> None:
        pass


class FarmProcess(Worker):
    """A worker process that ignores Ctrl-C; the command `hil farm worker` handles it.

    A terminal sends the signal to all processes of the command.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        log_lines(logging.WARNING)
        super().__init__(*arguments, **settings)
        self.metrics[METRIC] = training_metric

    def start_http_server(self, *_: Any, **__: Any) -> None:
        """Serve no web pages, as the scheduler."""


def board_resource(name: str) -> str:
    """The resource of a worker that has the board `name`, as `TRAIN` is that of one that trains."""
    return f"board:{name}"


def resource_name(what: str, code: str) -> str:
    """The name of a Dask resource: `TRAIN` or a board's, and the `code_id` of the worker.

    So the jobs of a search run only on workers with the same code.
    """
    return f"{what} by {code}"


def split_resource_name(resource: str) -> tuple[str, str]:
    """The inverse of `resource_name`: the kind of resource, and the `code_id`."""
    what, _, code = resource.partition(" by ")
    return what, code


def worker_resources(boards: Sequence[str], trainers: int) -> list[dict[str, float]]:
    """The Dask resources of each process of a worker: `trainers` processes, all of which train.

    The first process has all boards. With 0 trainers there is one process that only measures.
    """
    code = code_id()
    train = resource_name(TRAIN, code)
    processes: list[dict[str, float]] = [{train: 1} for _ in range(trainers)] or [{}]
    processes[0].update({resource_name(board_resource(board), code): 1 for board in boards})
    return processes


async def check_scheduler(address: str, role: str, timeout_s: float) -> None:
    """Connect once to the scheduler at `address`.

    Raises UserError if it does not answer, or if it is another machine's without TLS.
    `role` ("worker" or "client") selects the TLS certificate.
    """
    check_address(address)
    arguments = Security().get_connection_args(role)
    try:
        async with asyncio.timeout(timeout_s + _GRACE_S):
            comm = await connect(address, timeout=timeout_s, **arguments)
        await comm.close()
    except (*_BAD_ADDRESS, *_NO_DASK) as error:
        reason = (isinstance(error, OSError) and _refusal(address)) or _reason(error)
        if isinstance(error, _NO_DASK):
            reason = "what answers there is no scheduler"
        raise UserError(
            f"no farm at {address!r} ({reason}); start hil farm scheduler there, and give its "
            "address here, such as tls://host:8786"
        ) from error


def _refusal(address: str) -> str | None:
    """The operating system's reason why `address` is unreachable; None if there is none.

    Dask does not always report it: it retries until its timeout, and a last attempt that was cut
    short hides the errors of the former ones.
    """
    try:
        there = socket.create_connection(get_address_host_port(address), timeout=_GRACE_S)
    except TimeoutError:
        return None
    except OSError as error:
        return str(error)
    there.close()
    return None


async def run_scheduler(host: str, port: int, ready: Callable[[str], None]) -> None:
    """Run a scheduler until interrupted; `ready` is called with its address.

    Raises UserError for a host or port that cannot be listened on, and for one that other machines
    reach without TLS.
    """
    check_host(host)
    log_lines(logging.WARNING)
    interrupted = _interrupted()
    with _own_folder():
        try:
            scheduler = await _FarmScheduler(
                host=host, port=port, allowed_failures=_ALLOWED_FAILURES
            )
        except _BAD_ADDRESS as error:
            raise UserError(
                f"cannot listen on --host {host!r}, --port {port}: {_reason(error)}"
            ) from error
        async with scheduler:
            ready(scheduler.address)
            await interrupted.wait()


@contextmanager
def _own_folder() -> Iterator[None]:
    """Dask's own files are in a folder of this process, and go with it.

    Its own choice is $TMPDIR/dask-scratch-space, from which it imports: everybody could make that.
    """
    with scratch_folder() as folder, dask.config.set({"temporary-directory": str(folder)}):
        yield


async def run_worker(
    address: str, processes: Sequence[dict[str, float]], ready: Callable[[], None]
) -> None:
    """Run worker processes for the scheduler at `address` until interrupted.

    Each process has as many threads as resources; one that dies is replaced. Raises UserError if
    there is no scheduler, BenchError if it goes away.
    """
    log_lines(logging.WARNING)
    await check_scheduler(address, "worker", _CONNECT_S)
    interrupted = _interrupted()
    start_resource_tracker()  # silent: a process that dies is replaced
    with _own_folder():
        nannies = [_nanny(address, offer) for offer in processes]
        await _run_nannies(address, nannies, ready, interrupted)


async def _run_nannies(
    address: str, nannies: Sequence[Nanny], ready: Callable[[], None], interrupted: asyncio.Event
) -> None:
    """Start the processes, run them until interrupted, and end them; raises as `run_worker`."""
    try:
        started = await asyncio.gather(*nannies, return_exceptions=True)
        failed = [error for error in started if isinstance(error, BaseException)]
        if failed and not interrupted.is_set():
            raise UserError(
                f"cannot start a worker for the farm at {address!r}: {_reason(failed[0])}"
            ) from failed[0]
        ready()
        left: asyncio.Future[Any] = asyncio.gather(*(nanny.finished() for nanny in nannies))
        asked: asyncio.Future[Any] = asyncio.create_task(interrupted.wait())
        await asyncio.wait([left, asked], return_when=asyncio.FIRST_COMPLETED)
        if not interrupted.is_set():
            raise BenchError(f"the scheduler at {address} went away; start both again")
        await _retire(nannies)
    finally:
        # All at once: closed one by one, each would get the jobs of the one before.
        await asyncio.gather(*(nanny.close() for nanny in nannies))


def _nanny(address: str, offer: dict[str, float]) -> Nanny:
    """A Dask nanny, not yet started: it runs one worker process and restarts it if it dies."""
    return Nanny(
        address,
        # the address of the network interface through which the scheduler is reached
        host=unparse_host_port(get_ip(get_address_host(address))),
        nthreads=max(1, len(offer)),
        resources=offer,
        memory_limit=0,  # no limit: Dask would kill a training that needs much memory
        death_timeout=_START_S,
        silence_logs=logging.WARNING,
        worker_class=FarmProcess,
    )


async def _retire(nannies: Sequence[Nanny]) -> None:
    """Return all jobs to the scheduler, so that none counts as a job that killed its worker."""
    addresses = [nanny.worker_address for nanny in nannies if nanny.worker_address]
    with suppress(OSError):
        async with asyncio.timeout(_LEAVE_S):
            await nannies[0].scheduler.retire_workers(workers=addresses, remove=True)


def _reason(error: BaseException) -> str:
    """The root cause of an error of Dask, in words."""
    while error.__cause__ is not None:
        error = error.__cause__
    # Dask's timeout, or ours; a process that is stopped while it starts is an AssertionError then.
    late = (asyncio.CancelledError, TimeoutError)
    if isinstance(error, late) or isinstance(error.__context__, late):
        return "no answer"
    return str(error) or type(error).__name__


def _interrupted() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set from now on."""
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, event.set)
    return event
