"""Atomic file writes, and the reading of .toml files that may be damaged."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from compress.scratch import PART, hold

TFLITE_SUFFIXES = (".tflite", ".lite")  # of model files, in lower or upper case


def write_atomically(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Write `data` to a temporary file, then rename it to `path`; make the folder if it is missing.

    A reader sees the former content or all of `data`. The temporary name holds the process id:
    several processes may write the same file, and the last one wins. With `sync` the content
    reaches the disk before the rename, so that the file survives a power cut; without it, the file
    survives only the end of the process. Raises OSError.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}{PART}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _held(part) as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)  # a partial file is useless and may be what fills the disk


@contextmanager
def _held(part: Path) -> Iterator[IO[bytes]]:
    """A new file, locked so that `compress.scratch.sweep` leaves it alone."""
    while True:
        with part.open("wb") as file:
            if hold(file.fileno(), part):
                yield file
                return


def sync_file(path: Path) -> None:
    """Flush the file's content to the disk, so that it survives a power cut. Raises OSError."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def toml_values(content: bytes) -> dict[str, Any]:
    """The tables of a .toml file. Raises ValueError where it is not UTF-8 or not TOML."""
    try:
        return tomllib.loads(content.decode("utf-8"))
    except RecursionError:
        raise ValueError("arrays or tables are nested too deeply") from None
