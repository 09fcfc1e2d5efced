"""Cache of built files under ~/.cache/hil-compress ($XDG_CACHE_HOME replaces ~/.cache).

An entry is named by the hash of everything that it depends on. It appears atomically and complete,
also after a power cut, so any process may use it, and several may build the same entry at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from compress.cache import cache_folder
from compress.errors import UserError
from compress.files import sync_file
from compress.scratch import NEW, scratch_folder


def cached(kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """The folder of entry `key` of `kind`; if it is missing, `make` fills a new folder.

    Raises UserError if the cache cannot be written, or if the entry is another user's: entries are
    programs and libraries.
    """
    folder = cache_folder() / kind / key
    if folder.is_dir():
        return own_folder(folder)
    with ExitStack() as stack:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            temporary = stack.enter_context(scratch_folder(NEW, folder.parent))
        except OSError as error:
            raise UserError(
                f"cannot write the cache {folder.parent}: {error.strerror}; "
                "XDG_CACHE_HOME chooses another place"
            ) from None
        make(temporary)
        for path in temporary.rglob("*"):
            if path.is_file():
                sync_file(path)  # otherwise the new name may reach the disk before the content
        try:
            temporary.replace(folder)
        except OSError:
            if not folder.is_dir():  # not built by another process meanwhile: a real failure
                raise
    return own_folder(folder)


def own_folder(folder: Path) -> Path:
    """`folder` itself. Raises UserError if another user made it or may write into it.

    It may be a link of this user's to such a folder.
    """
    trusted, status = (os.geteuid(), 0), folder.stat()
    others = folder.lstat().st_uid not in trusted or status.st_uid not in trusted
    if others or status.st_mode & 0o022:
        raise UserError(
            f"{folder} is not this user's alone, and what is in it is executed: remove it, or let "
            "XDG_CACHE_HOME choose a cache of your own"
        )
    return folder
