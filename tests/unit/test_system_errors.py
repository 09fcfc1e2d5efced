"""Errors of the system are one line that says what to do; others stay what they are."""

from __future__ import annotations

import errno
import os

import pytest

from hil.cli.main import errors_as_lines
from hil.system_errors import user_error_of

SYSTEM = (
    (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x/y"), "disk full (/x/y): free some space"),
    (OSError(errno.EROFS, os.strerror(errno.EROFS), "/x"), "the disk is read-only (/x): make it"),
    (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "too many open files: raise the limit"),
    (FileNotFoundError(errno.ENOENT, "No such file", "/x"), "a file or folder is gone (/x): was"),
    (MemoryError(), "not enough memory: run again; finished trials are kept"),
    (
        ImportError("libtorch.so: failed to map segment from shared object"),
        "a limit of this system",
    ),
    (RuntimeError("can't start new thread"), "a limit of this system is too low (can't start new"),
)


@pytest.mark.parametrize(("error", "line"), SYSTEM)
def test_what_the_system_lacks_is_one_line(
    error: Exception, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, errors_as_lines():
        raise error
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert told.startswith(f"hil: error: {line}")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EPIPE, "Broken pipe"),
        OSError("no number"),
        ImportError("cannot import name 'x' from 'y'"),
        RuntimeError("dictionary changed size during iteration"),
    ],
)
def test_what_may_be_a_bug_stays_a_traceback(error: Exception) -> None:
    assert user_error_of(error) is None
    with pytest.raises(type(error)), errors_as_lines():
        raise error
