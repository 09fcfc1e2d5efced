"""Where the project's own files are; files written for the user, and errors in the user's words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compress.errors import UserError
from compress.files import write_whole

ROOT = Path(__file__).resolve().parent.parent
BOARDS = ROOT / "boards"
FIRMWARE = ROOT / "firmware"


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into a UserError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(no_space(path)) from error
        raise UserError(f"{error.filename or path}: {error.strerror}") from error


def no_space(path: Path) -> str:
    """The message for a full disk."""
    return (
        f"{path}: no space left on the disk. Every trial committed before is kept; "
        "free some space and run the same command again"
    )


def open_folder(folder: Path) -> None:
    """Make the folder if there is none. Raises UserError where nothing can be written into it."""
    with file_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise UserError(f"{folder}: nothing may be written there; choose another folder")


def write_file(path: Path, data: bytes) -> None:
    """Write a file that nobody sees half of, also after a power cut. Raises UserError."""
    with file_errors(path):
        write_whole(path, data)
