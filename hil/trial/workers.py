"""Worker processes that end with their parent, each with a context of its own.

Each process has one torch thread and one bench. A worker ignores Ctrl-C, which the parent handles,
and is killed by the kernel when the parent dies for whatever reason; its emulator dies with it.

A worker that dies while it starts must not leave its parent waiting. What the parent writes to it
goes through a pipe whose other end the parent holds, too: more than fits into the pipe would never
be taken. So a worker gets the name of a file, and reads its start from there.
"""

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from tqdm import tqdm

from compress.errors import HilError
from compress.scratch import scratch_folder, sweep_temporary
from compress.training.progress import listen
from hil.trial.jobs import WORKER_DIED, WorkerDied
from hil.trial.pool_thread import watched
from hil.trial.semaphores import make_pool, start_resource_tracker
from hil.trial.training_file import Training, TrainingFile, read_trainings

_P = ParamSpec("_P")
_T = TypeVar("_T")

# include/uapi/linux/prctl.h
_PR_SET_PDEATHSIG = 1

END_S = 60.0  # for idle processes to end
START_S = 600.0  # for all processes to start: each imports torch, on a loaded machine for minutes

_context: Any = None
_training_file: TrainingFile | None = None


class Workers:
    """A pool of `count` processes; `start()` runs once in each and returns its context.

    If `start()` raises a HilError, every job of that process raises it. The processes start
    immediately, so that they load while the caller still prepares; those that have not within
    `START_S` are killed. Raises WorkerDied if the system starts no more processes.
    """

    def __init__(self, count: int, start: Callable[[], object]) -> None:
        self.count = count
        self._pending: set[Future[Any]] = set()
        self._lost: WorkerDied | None = None
        with ExitStack() as opened:
            self._folder = opened.enter_context(scratch_folder())
            path = self._folder / "start"
            path.write_bytes(ForkingPickler.dumps(start))
            start_resource_tracker()
            # Fresh interpreters: forking a process that holds torch's threads is unsafe.
            context = multiprocessing.get_context("spawn")
            begin = (count, context, _begin, (os.getpid(), path))
            self._pool = make_pool(lambda: ProcessPoolExecutor(*begin), opened)
            opened.enter_context(watched(self._pool, self._lose))
            self._late = threading.Timer(START_S, self._give_up)
            self._late.daemon = True
            try:
                started = self._start_all(count)
                self._waiting = len(started)
                self._late.start()
            except BaseException:  # also Ctrl-C: the pool would wait for them
                _kill_children()
                raise
            for future in started:
                future.add_done_callback(self._count_started)
            self._opened = opened.pop_all()

    def trainings(self) -> tuple[Training, ...]:
        """The trainings that the processes are in, the one that takes longest first."""
        return read_trainings(self._folder)

    def _start_all(self, count: int) -> "list[Future[None]]":
        """Start the processes, which the pool does only when a job is submitted."""
        with _sigint_blocked():
            try:
                return [self._told(self._pool.submit(_do_nothing)) for _ in range(count)]
            except OSError as error:
                raise WorkerDied(f"cannot start worker processes: {error}") from error

    def _told(self, future: "Future[_T]") -> "Future[_T]":
        """The future, which fails if the pool's thread has ended or ends."""
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        if self._lost is not None:
            _fail(future, self._lost)
        return future

    def _lose(self, error: BaseException | None) -> None:
        """Fail all jobs, and those to come, as the thread that hands them out has ended."""
        self._lost = WorkerDied(f"worker processes get no jobs: {error}")
        for future in tuple(self._pending):
            _fail(future, self._lost)
        _kill_children()

    def _count_started(self, future: "Future[None]") -> None:
        self._waiting -= 1
        if self._waiting == 0:
            self._late.cancel()

    def _give_up(self) -> None:
        """End processes that start too slowly: the pool then tells that it is broken."""
        _kill_children()

    def submit(
        self, function: Callable[Concatenate[Any, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> "Future[_T]":
        """Run `function(context, ...)` in a worker. Raises WorkerDied if the pool is broken."""
        try:
            return self._told(self._pool.submit(_call, function, args, kwargs))
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
        stuck = threading.Timer(END_S, _kill_children)  # one that is stopped never ends by itself
        stuck.daemon = True
        try:
            self._late.cancel()
            if kind is not None:
                _kill_children()
            stuck.start()
            self._opened.close()
        except BaseException:  # Ctrl-C or SIGTERM: Python would wait for them at its end
            _kill_children()
            raise
        finally:
            stuck.cancel()
        if kind is not None:
            sweep_temporary()  # of the killed workers


def _fail(future: "Future[Any]", error: WorkerDied) -> None:
    with suppress(InvalidStateError):  # it has ended meanwhile
        future.set_exception(error)


def _kill_children() -> None:
    for process in multiprocessing.active_children():
        process.kill()


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Block SIGINT; processes started meanwhile inherit the mask until they ignore the signal."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _begin(parent: int, path: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # inherited from the parent
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before prctl: no signal will come
        os._exit(1)
    # torch.fx uses tqdm, whose default lock between processes stays locked if its holder is killed.
    tqdm.set_lock(threading.RLock())
    global _context, _training_file
    try:
        start: Callable[[], object] = pickle.loads(path.read_bytes())
        _context = start()
        _training_file = TrainingFile(path.parent)
        listen(_training_file.tell)
    except HilError as error:  # raised here, the pool would only report a broken process
        _context = error
    except (ImportError, MemoryError, OSError) as error:
        _context = WorkerDied(f"a worker process cannot start: {type(error).__name__}: {error}")


def _do_nothing() -> None:
    """A job that only makes the pool start a process."""


def _call(function: Callable[..., _T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _T:
    if isinstance(_context, HilError):
        raise _context
    try:
        return function(_context, *args, **kwargs)
    finally:
        if _training_file is not None:
            _training_file.ended()
