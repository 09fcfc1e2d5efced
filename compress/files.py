"""Atomic file writes, and the reading of .npz and .toml files that may be damaged."""

from __future__ import annotations

import os
import tomllib
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from compress.types import Array


def write_atomically(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Write `data` to a temporary file, then rename it to `path`; make the folder if it is missing.

    A reader sees the former content or all of `data`. The temporary name holds the process id:
    several processes may write the same file, and the last one wins. With `sync` the content
    reaches the disk before the rename, so that the file survives a power cut; without it, the file
    survives only the end of the process. Raises OSError.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with part.open("wb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)  # a partial file is useless and may be what fills the disk


def sync_file(path: Path) -> None:
    """Flush the file's content to the disk, so that it survives a power cut. Raises OSError."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def read_npz(path: Path, names: Collection[str] = ()) -> dict[str, Array]:
    """The arrays of an .npz file: all, or those of `names` that it has.

    Raises OSError, and ValueError for another or a damaged file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files if not names or name in names}
    except (EOFError, AttributeError, TypeError, KeyError) as error:  # np.load answers by content
        raise ValueError(f"no archive of arrays: {error}") from error
    except (ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(str(error).partition("\n")[0]) from error


def toml_values(content: bytes) -> dict[str, Any]:
    """The tables of a .toml file. Raises ValueError where it is not UTF-8 or not TOML."""
    try:
        return tomllib.loads(content.decode("utf-8"))
    except RecursionError:
        raise ValueError("arrays or tables are nested too deeply") from None
