"""Errors of the operating system as one line: what is full, missing or too low, and what to do."""

from __future__ import annotations

import errno

from compress.errors import UserError

_KEPT = "finished trials are kept"
_AGAIN = f"run again; {_KEPT}"
# By the number of an OSError: what it means here, and what to do.
_MEANING = {
    errno.ENOSPC: ("disk full", f"free some space and {_AGAIN}"),
    errno.EDQUOT: ("disk full", f"free some space and {_AGAIN}"),
    errno.EFBIG: ("file too large", f"raise the limit (ulimit -f) and {_AGAIN}"),
    errno.EROFS: ("the disk is read-only", f"make it writable and {_AGAIN}"),
    errno.EACCES: ("permission denied", f"allow it and {_AGAIN}"),
    errno.EPERM: ("not permitted", f"allow it and {_AGAIN}"),
    errno.EMFILE: ("too many open files", f"raise the limit (ulimit -n) and {_AGAIN}"),
    errno.ENFILE: ("too many open files on this system", _AGAIN),
    errno.ENOMEM: ("not enough memory", _AGAIN),
    errno.EAGAIN: ("cannot start more processes", f"raise the limit (ulimit -u) and {_AGAIN}"),
    errno.EIO: ("the disk fails", f"look at the system's log; {_KEPT}"),
    errno.ENOENT: ("a file or folder is gone", f"was it removed meanwhile? {_AGAIN}"),
    errno.ESTALE: ("a file or folder is gone", f"was it removed meanwhile? {_AGAIN}"),
}
# How the loader of shared libraries, Python and OpenBLAS say that a limit of the system is too low.
_TOO_LOW = (
    *(
        "cannot allocate memory",
        "failed to map segment",
        "cannot open shared object file: too many",
    ),
    *("can't start new thread", "file descriptor", "too many open files"),
)


def user_error_of(error: Exception) -> UserError | None:
    """The error in one line, if the system causes it; None if it may be a bug of this program."""
    if isinstance(error, OSError):
        if error.errno not in _MEANING:
            return None
        what, advice = _MEANING[error.errno]
        where = f" ({error.filename})" if error.filename else ""
        return UserError(f"{what}{where}: {advice}")
    if isinstance(error, MemoryError):
        return UserError(f"not enough memory: {_AGAIN}")
    said = str(error).partition("\n")[0]
    if isinstance(error, ImportError | RuntimeError) and any(
        words in said.lower() for words in _TOO_LOW
    ):
        return UserError(f"a limit of this system is too low ({said}): raise it and {_AGAIN}")
    return None
