"""The user's secret key: a file of the cache that has the tag made with it is this user's own.

The key lies in a folder that its owner alone may enter, so that it stays secret where several
users share a cache (XDG_CACHE_HOME). See docs/decisions/0036.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from compress.cache import cache_folder
from compress.scratch import PART, hold

KEY_BYTES = 32


def signing_key() -> bytes | None:
    """The user's key, made if there is none; None if it cannot be kept secret or written."""
    folder = cache_folder() / f"private-{os.geteuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(os.lstat(folder), stat.S_IFDIR):
            return None
        path = folder / "key"
        return _read(path) or _made(path)
    except OSError:
        return None


def _read(path: Path) -> bytes | None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with open(handle, "rb") as file:
        if not _is_private(os.fstat(handle), stat.S_IFREG):
            raise PermissionError(f"{path} is not private")
        key = file.read(KEY_BYTES + 1)
    return key if len(key) == KEY_BYTES else None


def _made(path: Path) -> bytes | None:
    """A new key; where several processes make one at once, all get that of the first."""
    part = path.with_name(f"key.{os.getpid()}{PART}")
    with open(_held(part), "wb") as file:
        try:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
            if path.exists() and path.stat().st_size != KEY_BYTES:
                path.unlink()  # cut short by a full disk or a power cut
            with suppress(FileExistsError):
                os.link(part, path)
        finally:
            part.unlink()
    return _read(path)


def _held(part: Path) -> int:
    """The handle of a new file, locked so that `compress.scratch.sweep` leaves it alone."""
    while True:
        part.unlink(missing_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        if hold(handle, part):
            return handle
        os.close(handle)


def _is_private(status: os.stat_result, kind: int) -> bool:
    """True for a file of this kind that is this user's and closed to all others."""
    is_kind = stat.S_IFMT(status.st_mode) == kind
    return is_kind and status.st_uid == os.geteuid() and not status.st_mode & 0o077
