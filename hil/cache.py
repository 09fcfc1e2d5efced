"""Cache of built files under ~/.cache/hil-compress ($XDG_CACHE_HOME replaces ~/.cache).

An entry is named by the hash of everything that it depends on. It appears atomically and complete,
also after a power cut, so any process may use it, and several may build the same entry at once.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from compress.cache import cache_folder
from compress.errors import UserError
from compress.files import sync_file


def cached(kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """The folder of entry `key` of `kind`; if it is missing, `make` fills a new folder.

    Raises UserError if the cache cannot be written.
    """
    folder = cache_folder() / kind / key
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    except OSError as error:
        raise UserError(
            f"cannot write the cache {folder.parent}: {error.strerror}; "
            "XDG_CACHE_HOME chooses another place"
        ) from None
    try:
        make(temporary)
        for path in temporary.rglob("*"):
            if path.is_file():
                sync_file(path)  # otherwise the new name may reach the disk before the content
        try:
            temporary.replace(folder)
        except OSError:
            if not folder.is_dir():  # not built by another process meanwhile: a real failure
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder
