"""The thread by which a pool of processes hands out its jobs, and its end.

If it ends by an exception, as where the system gives it no second thread, Python's pool leaves all
futures without a result for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager


@contextmanager
def watched(
    pool: ProcessPoolExecutor, tell: Callable[[BaseException | None], None]
) -> Iterator[None]:
    """Call `tell`, in the pool's thread, with the exception that ends it, if one does."""
    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if args.thread is getattr(pool, "_executor_manager_thread", None):
            tell(args.exc_value)
        else:
            before(args)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before
