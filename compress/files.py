"""Atomic file writes, and the reading of .npz and .toml files that may be damaged."""

from __future__ import annotations

import os
import tomllib
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from compress.scratch import PART, hold
from compress.types import Array

TFLITE_SUFFIXES = (".tflite", ".lite")  # of model files, in lower or upper case

_MOST_NPZ_BYTES = 2 << 30  # unpacked


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


def read_npz(path: Path, names: Collection[str] = ()) -> dict[str, Array]:
    """The arrays of an .npz file: all, or those of `names` that it has.

    Raises OSError, and ValueError for another or a damaged file, and for arrays of more than 2 GiB.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            wanted = [name for name in file.files if not names or name in names]
            _check_size(file.zip, wanted)
            return {name: file[name] for name in wanted}
    except MemoryError as error:
        raise ValueError(f"an array's header asks for more memory than there is: {error}") from None
    except (EOFError, AttributeError, TypeError, KeyError) as error:  # np.load answers by content
        raise ValueError(f"no archive of arrays: {error}") from error
    except (ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(str(error).partition("\n")[0]) from error


def _check_size(archive: zipfile.ZipFile, names: Collection[str]) -> None:
    """Raise ValueError if the arrays are too large: a small file may hold any amount of zeros.

    Of a member, no more is unpacked than the archive's directory says.
    """
    size_bytes = sum(
        member.file_size
        for member in archive.infolist()
        if member.filename.removesuffix(".npy") in names
    )
    if size_bytes > _MOST_NPZ_BYTES:
        raise ValueError(
            f"its arrays take {size_bytes >> 20} MiB, at most {_MOST_NPZ_BYTES >> 20} are read"
        )


def toml_values(content: bytes) -> dict[str, Any]:
    """The tables of a .toml file. Raises ValueError where it is not UTF-8 or not TOML."""
    try:
        return tomllib.loads(content.decode("utf-8"))
    except RecursionError:
        raise ValueError("arrays or tables are nested too deeply") from None
