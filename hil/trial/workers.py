"""Worker processes that die with their parent, each with a context of its own.

One torch thread and one bench per process; two processes by default, as many as there are cores
to gain. A worker ignores Ctrl-C (the parent decides) and is killed by the kernel when the parent
goes, whatever killed it; its emulator dies with it in turn.
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
    """A pool of `count` processes; `start()` runs in each, once, and makes its context.

    A HilError of `start()` is that of each job.
    They start at once, so that the caller's own preparations take no time of their own.
    """

    def __init__(self, count: int, start: Callable[[], object]) -> None:
        self.count = count
        # A fresh interpreter per worker: forking a process that holds torch's threads is unsafe.
        self._pool = ProcessPoolExecutor(
            count, multiprocessing.get_context("spawn"), _begin, (os.getpid(), start)
        )
        with _interrupts_held():
            for _ in range(count):  # the pool starts a process when it is given work
                self._pool.submit(_awake)

    def submit(
        self, function: Callable[Concatenate[Any, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> "Future[_T]":
        """Run `function(context, ...)` in a worker."""
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
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C waits, also in the processes that are started meanwhile: until they ignore it."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _begin(parent: int, start: Callable[[], object]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # held since the parent's start
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has died meanwhile: no signal will come any more
        os._exit(1)
    # torch.fx counts steps with tqdm, whose lock between processes is left by one that is killed.
    tqdm.set_lock(threading.RLock())
    global _context
    try:
        _context = start()
    except HilError as error:  # of a process that fails to start its pool tells only the death
        _context = error


def _awake() -> None:
    """Work for a process that is to start."""


def _call(function: Callable[..., _T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _T:
    if isinstance(_context, HilError):
        raise _context
    return function(_context, *args, **kwargs)
