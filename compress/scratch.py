"""Temporary folders and files that a killed process leaves behind, and their removal.

Each is locked (flock) by the process that uses it. The kernel drops the lock when the process ends,
however it ends: what nobody has locked is nobody's. Process ids would not do, since containers
that share a folder have ids of their own.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from compress.cache import cache_folder

# Names that only what is locked has: earlier versions and others make "hil-*",
# ".new-*" and "*.part" without a lock, which are left alone.
SCRATCH = "hil-scratch-"  # how the names of temporary folders in $TMPDIR begin
NEW = ".scratch-"  # and in the cache those of entries that are being made
SEMAPHORES = Path("/dev/shm")  # where Linux has those with names, as "sem.NAME"
PART = ".scratch"  # how the names of files end that are being written


@contextmanager
def scratch_folder(prefix: str = SCRATCH, folder: Path | None = None) -> Iterator[Path]:
    """A new folder in `folder`, or in $TMPDIR, which is removed at the end. Raises OSError."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
        try:
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # swept before it could be locked
        if hold(handle, path):
            break
        os.close(handle)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(handle)


def hold(handle: int, path: Path) -> bool:
    """Lock an open file or folder of one's own; False if `sweep` was faster and removed it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks: `sweep` takes none there, either
    with suppress(OSError):
        return os.path.samestat(os.fstat(handle), path.lstat())
    return False


def sweep(folder: Path, *patterns: str) -> None:
    """Remove this user's files and folders in `folder` of these names that no process has locked.

    What cannot be removed stays.
    """
    for pattern in patterns:
        with suppress(OSError):
            for path in sorted(folder.glob(pattern)):
                with suppress(OSError):
                    _remove_unless_held(path)


def sweep_temporary() -> None:
    """Sweep the folders that killed processes of this program left in $TMPDIR, and semaphores."""
    sweep(Path(tempfile.gettempdir()), f"{SCRATCH}*")
    sweep(SEMAPHORES, f"sem.{SCRATCH}*")


def sweep_cache() -> None:
    """Sweep what killed processes left in the cache."""
    sweep(cache_folder(), f"*/{NEW}*", f"*{PART}", f"*/*{PART}", f"*/*/*{PART}")


def _remove_unless_held(path: Path) -> None:
    if path.lstat().st_uid != os.geteuid():
        return
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(handle), path.lstat()):
            return  # its user had just finished, and another one has the name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    finally:
        os.close(handle)
