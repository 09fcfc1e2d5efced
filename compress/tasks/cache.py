"""Arrays that take minutes to make, kept in ~/.cache/hil-compress/data (or XDG_CACHE_HOME).

An entry's name holds a hash of everything it depends on, so a changed parameter or source is
another entry. Entries are written aside and renamed into place: a reader never sees half a file,
and two processes that make the same entry write the same bytes, one after the other. An entry
that cannot be read back (zip's CRC-32 covers every byte of the arrays) is made anew.
"""

import io
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from compress.cache import cache_folder
from compress.errors import UserError
from compress.files import write_atomically
from compress.types import Array

Arrays = dict[str, Array]


def data_folder() -> Path:
    """Where the entries are."""
    return cache_folder() / "data"


def cached(name: str, key: str, make: Callable[[], Arrays]) -> Arrays:
    """The arrays of entry `name`-`key`; `make` is called if there is none that is intact.

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
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, AttributeError, zipfile.BadZipFile):
        return None  # damaged: cut short, overwritten or not ours (np.load may then give no zip)


def _check_writable(folder: Path) -> None:
    """Complain before minutes of work, not after."""
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
