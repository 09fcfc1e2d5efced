"""Pools of processes whose semaphores do not outlive them, however they end.

A pool makes semaphores with names, by which its processes find them. If all of its processes are
killed at once, also that of `multiprocessing` that would remove them, they stay in /dev/shm. So
they get names of ours and are locked, as temporary folders are (`compress.scratch`): what nobody
has locked is removed by the next start.
"""

from __future__ import annotations

import os
import secrets
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import resource_tracker, synchronize

from compress.scratch import SCRATCH, SEMAPHORES, hold


def make_pool(make: Callable[[], ProcessPoolExecutor], opened: ExitStack) -> ProcessPoolExecutor:
    """The pool that `make` makes, without processes yet; `opened` has its end and the locks."""
    while True:
        with _named() as names:
            pool = make()
        with ExitStack() as locks:
            if all(_held(name, locks) for name in names):
                opened.push(locks.pop_all())
                opened.callback(_shut_down, pool)
                opened.callback(_register, names)
                return pool
        pool.shutdown()  # swept before they could be locked


def start_resource_tracker() -> None:
    """Start multiprocessing's own process, which removes semaphores of a killed program silently.

    Its warning that it does so would appear on the terminal after the program's end.
    """
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore:resource_tracker"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "resource_tracker: process died")
            resource_tracker.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


def _shut_down(pool: ProcessPoolExecutor) -> None:
    """End the pool when its processes have ended.

    Python's own way fails where the system let the pool have processes, but no thread.
    """
    try:
        pool.shutdown(cancel_futures=True)
    except RuntimeError as error:
        if "before it is started" not in str(error):  # "cannot join thread ..."
            raise


def _register(names: list[str]) -> None:
    """Tell multiprocessing's process of the semaphores, again if it is still the first one.

    One that was started anew, since the first was killed, does not know them, and would print a
    traceback for each when they are removed.
    """
    start_resource_tracker()
    for name in names:
        resource_tracker.register(f"/{name}", "semaphore")


@contextmanager
def _named() -> Iterator[list[str]]:
    """Semaphores that are made meanwhile get names of ours; the list has them."""
    names: list[str] = []
    # Who names them is a private method, which joblib, too, replaces when it is imported.
    before = synchronize.SemLock._make_name  # type: ignore[attr-defined]

    def make_name() -> str:
        names.append(f"{SCRATCH}{secrets.token_hex(8)}")
        return f"/{names[-1]}"

    synchronize.SemLock._make_name = staticmethod(make_name)  # type: ignore[attr-defined]
    try:
        yield names
    finally:
        synchronize.SemLock._make_name = staticmethod(before)  # type: ignore[attr-defined]


def _held(name: str, locks: ExitStack) -> bool:
    """Lock a semaphore; False if it was removed before. Other systems than Linux have no files."""
    if not SEMAPHORES.is_dir():
        return True
    path = SEMAPHORES / f"sem.{name}"
    with suppress(FileNotFoundError):
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        locks.callback(os.close, handle)
        return hold(handle, path)
    return False
