"""Worker processes that end with their parent, each with a context of its own.

Each process has one torch thread and one bench. A worker ignores Ctrl-C, which the parent handles,
and is killed by the kernel when the parent dies for whatever reason; its emulator dies with it.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from tqdm import tqdm

from compress.errors import HilError
from hil.trial.jobs import WORKER_DIED, WorkerDied

_P = ParamSpec("_P")
_T = TypeVar("_T")

# include/uapi/linux/prctl.h
_PR_SET_PDEATHSIG = 1

_context: Any = None


class Workers:
    """A pool of `count` processes; `start()` runs once in each and returns its context.

    If `start()` raises a HilError, every job of that process raises it. The processes start
    immediately, so that they load while the caller still prepares.
    """

    def __init__(self, count: int, start: Callable[[], object]) -> None:
        self.count = count
        # A fresh interpreter per worker: forking a process that holds torch's threads is unsafe.
        self._pool = ProcessPoolExecutor(
            count, multiprocessing.get_context("spawn"), _begin, (os.getpid(), start)
        )
        with _sigint_blocked():
            for _ in range(count):  # the pool starts a process only when a job is submitted
                self._pool.submit(_do_nothing)

    def submit(
        self, function: Callable[Concatenate[Any, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> "Future[_T]":
        """Run `function(context, ...)` in a worker. Raises WorkerDied if the pool is broken."""
        try:
            return self._pool.submit(_call, function, args, kwargs)
        except BrokenProcessPool as error:
            raise WorkerDied(WORKER_DIED) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            for process in multiprocessing.active_children():
                process.kill()
        self._pool.shutdown(cancel_futures=True)


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Block SIGINT; processes started meanwhile inherit the mask until they ignore the signal."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _begin(parent: int, start: Callable[[], object]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # inherited from the parent
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before prctl: no signal will come
        os._exit(1)
    # torch.fx uses tqdm, whose default lock between processes stays locked if its holder is killed.
    tqdm.set_lock(threading.RLock())
    global _context
    try:
        _context = start()
    except HilError as error:  # raised here, the pool would only report a broken process
        _context = error


def _do_nothing() -> None:
    """A job that only makes the pool start a process."""


def _call(function: Callable[..., _T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _T:
    if isinstance(_context, HilError):
        raise _context
    return function(_context, *args, **kwargs)
