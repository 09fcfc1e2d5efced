"""Things built once and kept under ~/.cache/hil-compress (XDG_CACHE_HOME is honoured).

An entry's name is the hash of everything it depends on, and it appears in one step, complete, and
stays so over a power cut: what is there may be used, whoever built it, and processes may build the
same entry at a time.
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
    """The folder of entry `key` of a kind; if there is none, `make` fills a new one.

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
                sync_file(path)  # the new name may reach the disk before the content does
        try:
            temporary.replace(folder)
        except OSError:
            if not folder.is_dir():  # no other process was faster: a real failure
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder
