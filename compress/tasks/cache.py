"""A disk cache of arrays that take minutes to make, in ~/.cache/hil-compress/data.

XDG_CACHE_HOME is respected. The name of an entry holds a hash of everything it depends on, so a
changed parameter or source gives another entry. Entries are written atomically; two processes that
make the same entry write the same bytes. An entry that cannot be read (the CRC-32 of the zip format
covers every byte of the arrays) is made again.
"""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from compress.cache import cache_folder
from compress.errors import UserError
from compress.files import write_atomically
from compress.npz_file import read_npz
from compress.types import Array

Arrays = dict[str, Array]


def data_folder() -> Path:
    """The folder of the entries."""
    return cache_folder() / "data"


def cached(name: str, key: str, make: Callable[[], Arrays]) -> Arrays:
    """The arrays of entry `name`-`key`; calls `make` if the entry is missing or damaged.

    Raises UserError if the folder cannot be written.
    """
    path = data_folder() / f"{name}-{key}.npz"
    arrays = _read(path)
    if arrays is None:
        _check_writable(path.parent)
        arrays = make()
        _write(path, arrays)
    return arrays


def _read(path: Path) -> Arrays | None:
    """The arrays in the file; None if it is missing or damaged."""
    try:
        return read_npz(path)
    except (OSError, ValueError):
        return None


def _check_writable(folder: Path) -> None:
    """Check the folder before minutes of work. Raises UserError if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise _unwritable(folder, error) from None


def _write(path: Path, arrays: Arrays) -> None:
    data = io.BytesIO()
    np.savez(data, **arrays)
    try:
        write_atomically(path, data.getvalue(), sync=False)
    except OSError as error:
        raise _unwritable(path.parent, error) from None


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"cannot write the cache {folder}: {error.strerror}; XDG_CACHE_HOME chooses another place"
    )
