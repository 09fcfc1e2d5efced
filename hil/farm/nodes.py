"""The processes of a farm: one scheduler, and workers with what they offer.

A worker's Dask resources say what it does: one training at a time in a process (`TRAIN`: torch's
random state is the process's), one thing at a time on each of its boards (`board_resource`).
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from distributed import Nanny, Scheduler, Security, Worker
from distributed.comm.addressing import get_address_host, get_address_host_port, unparse_host_port
from distributed.comm.core import connect
from distributed.utils import get_ip

from compress.errors import UserError
from hil.errors import BenchError
from hil.farm.source_fingerprint import code_id

TRAIN = "train"
# How many workers may die of one job before it is taken to be the job's fault.
_ALLOWED_FAILURES = 3
_CONNECT_S = 30
# So that Dask, which knows why it cannot connect, gives up before we do.
_GRACE_S = 1.0
_LEAVE_S = 10.0
# Dask's pages about the cluster: for who is on the machine only.
_PAGES = "127.0.0.1:0"
# What Dask raises for an address that is wrong, taken, not there, or lacks certificates.
_BAD_ADDRESS = (OSError, ValueError, RuntimeError, TypeError)


class FarmProcess(Worker):
    """Ignores Ctrl-C, which a terminal sends to all processes: the command decides, and ends it."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        super().__init__(*arguments, **settings)


def board_resource(name: str) -> str:
    """What a worker with board `name` does, as TRAIN."""
    return f"board:{name}"


def resource_name(what: str, code: str) -> str:
    """The name of a Dask resource: jobs of a search go to workers with the same `code_id` only."""
    return f"{what} by {code}"


def split_resource_name(resource: str) -> tuple[str, str]:
    """What a resource does, and by which code."""
    what, _, code = resource.partition(" by ")
    return what, code


def worker_resources(boards: Sequence[str], trainers: int) -> list[dict[str, float]]:
    """The resources of each process of a worker: the first one has the boards, all train.

    A board is held by one process only. With 0 trainers there is one that measures.
    """
    code = code_id()
    train = resource_name(TRAIN, code)
    processes: list[dict[str, float]] = [{train: 1} for _ in range(trainers)] or [{}]
    processes[0].update({resource_name(board_resource(board), code): 1 for board in boards})
    return processes


async def check_scheduler(address: str, role: str, timeout_s: float) -> None:
    """Connect to the scheduler at `address`, once. Raises UserError if it does not answer.

    `role` ("worker", "client") says whose TLS certificate to show.
    """
    arguments = Security().get_connection_args(role)
    try:
        async with asyncio.timeout(timeout_s + _GRACE_S):
            comm = await connect(address, timeout=timeout_s, **arguments)
        await comm.close()
    except _BAD_ADDRESS as error:
        reason = (isinstance(error, OSError) and _refusal(address)) or _reason(error)
        raise UserError(
            f"no farm at {address!r} ({reason}); there: hil farm scheduler, "
            "here: its address, such as tcp://host:8786"
        ) from error


def _refusal(address: str) -> str | None:
    """Why nobody at `address` can be reached; None if there is somebody, or nothing is known.

    Dask does not always tell: it tries again until its time is over, and a last try that was cut
    short hides what the others were told.
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
    """Tell `ready` the address, then serve until interrupted. Raises UserError for a bad one."""
    logging.getLogger("distributed").setLevel(logging.WARNING)
    interrupted = _interrupted()
    try:
        scheduler = await Scheduler(
            host=host, port=port, dashboard_address=_PAGES, allowed_failures=_ALLOWED_FAILURES
        )
    except _BAD_ADDRESS as error:
        raise UserError(f"cannot listen on {host!r}, port {port}: {_reason(error)}") from error
    async with scheduler:
        ready(scheduler.address)
        await interrupted.wait()


async def run_worker(
    address: str, processes: Sequence[dict[str, float]], ready: Callable[[], None]
) -> None:
    """Work for the scheduler at `address` until interrupted; a process that dies is replaced.

    Each process has as many threads as it offers resources. Raises UserError if there is no
    scheduler, BenchError if it goes away.
    """
    logging.getLogger("distributed").setLevel(logging.WARNING)
    await check_scheduler(address, "worker", _CONNECT_S)
    interrupted = _interrupted()
    nannies = [_nanny(address, offer) for offer in processes]
    try:
        started = await asyncio.gather(*nannies, return_exceptions=True)
        failed = [error for error in started if isinstance(error, BaseException)]
        if failed and not interrupted.is_set():
            raise UserError(f"cannot work for {address!r}: {_reason(failed[0])}") from failed[0]
        ready()
        left: asyncio.Future[Any] = asyncio.gather(*(nanny.finished() for nanny in nannies))
        asked: asyncio.Future[Any] = asyncio.create_task(interrupted.wait())
        await asyncio.wait([left, asked], return_when=asyncio.FIRST_COMPLETED)
        if not interrupted.is_set():
            raise BenchError(f"the scheduler at {address} went away")
        await _retire(nannies)
    finally:
        # Together: closed one by one, each would get the jobs of the one before.
        await asyncio.gather(*(nanny.close() for nanny in nannies))


def _nanny(address: str, offer: dict[str, float]) -> Nanny:
    """What keeps one process alive, not yet started; listens where the scheduler reaches it."""
    return Nanny(
        address,
        host=unparse_host_port(get_ip(get_address_host(address))),
        nthreads=max(1, len(offer)),
        resources=offer,
        memory_limit=0,  # what a training needs is not Dask's to judge
        death_timeout=_CONNECT_S,
        dashboard_address=_PAGES,
        silence_logs=logging.WARNING,
        worker_class=FarmProcess,
    )


async def _retire(nannies: Sequence[Nanny]) -> None:
    """Give all jobs back: one whose worker is just gone counts as one that killed its worker."""
    addresses = [nanny.worker_address for nanny in nannies if nanny.worker_address]
    with suppress(OSError):
        async with asyncio.timeout(_LEAVE_S):
            await nannies[0].scheduler.retire_workers(workers=addresses, remove=True)


def _reason(error: BaseException) -> str:
    """What Dask's error was caused by."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, asyncio.CancelledError | TimeoutError):  # Dask's timeout, or ours
        return "no answer"
    return str(error) or type(error).__name__


def _interrupted() -> asyncio.Event:
    """From now on Ctrl-C and a polite kill set this event."""
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, event.set)
    return event
