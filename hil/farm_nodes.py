"""The processes of a farm: one scheduler, and workers with what they offer.

A worker's Dask resources say what it does: one training at a time in a process (`TRAIN`: torch's
random state is the process's), one thing at a time on each of its boards (`board_resource`).
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

from distributed import Nanny, Scheduler

from compress.errors import UserError
from hil.errors import BenchError

TRAIN = "train"
# How many workers may die of one job before it is taken to be the job's fault.
_ALLOWED_FAILURES = 3
_CONNECT_S = 30
# Dask's pages about the cluster: for who is on the machine only.
_PAGES = "127.0.0.1:0"


def board_resource(name: str) -> str:
    """The resource that a worker with board `name` has one of."""
    return f"board:{name}"


def offers(boards: Sequence[str], trainers: int) -> list[dict[str, float]]:
    """The resources of each process of a worker: the first one has the boards, all train.

    A board is held by one process only. With 0 trainers there is one that measures.
    """
    processes: list[dict[str, float]] = [{TRAIN: 1} for _ in range(trainers)] or [{}]
    processes[0].update({board_resource(board): 1 for board in boards})
    return processes


async def run_scheduler(host: str, port: int, ready: Callable[[str], None]) -> None:
    """Tell `ready` the address, then serve until interrupted. Raises UserError for a bad one."""
    logging.getLogger("distributed").setLevel(logging.WARNING)
    try:
        scheduler = Scheduler(
            host=host, port=port, dashboard_address=_PAGES, allowed_failures=_ALLOWED_FAILURES
        )
        async with scheduler:
            ready(scheduler.address)
            await _interrupted()
    except (OSError, ValueError) as error:
        raise UserError(f"cannot listen on {host}, port {port}: {error}") from error


async def run_worker(
    address: str, processes: Sequence[dict[str, float]], ready: Callable[[], None]
) -> None:
    """Work for the scheduler at `address` until interrupted; a process that dies is replaced.

    Each process has as many threads as it offers resources. Raises UserError if there is no
    scheduler, BenchError if it goes away.
    """
    logging.getLogger("distributed").setLevel(logging.WARNING)
    async with AsyncExitStack() as stack:
        nannies = [
            Nanny(
                address,
                nthreads=max(1, len(offer)),
                resources=offer,
                memory_limit=0,  # what a training needs is not Dask's to judge
                death_timeout=_CONNECT_S,
                dashboard_address=_PAGES,
                silence_logs=logging.WARNING,
            )
            for offer in processes
        ]
        try:
            await asyncio.gather(*(stack.enter_async_context(nanny) for nanny in nannies))
        except (OSError, ValueError, TimeoutError) as error:
            raise UserError(f"no scheduler at {address!r} ({error}): hil farm scheduler") from error
        ready()
        left = asyncio.gather(*(nanny.finished() for nanny in nannies))
        await _first(_interrupted(), _until(left))
        if left.done():
            raise BenchError(f"the scheduler at {address} went away")


async def _until(future: asyncio.Future[Any]) -> None:
    await asyncio.wait([future])


async def _first(*waits: Coroutine[Any, Any, None]) -> None:
    """Return when one of them has ended."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


async def _interrupted() -> None:
    """Return on Ctrl-C or a polite kill."""
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, event.set)
    await event.wait()
