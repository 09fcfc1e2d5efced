"""Writing a file so that nobody ever sees half of it."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Write `data` aside, then rename it to `path`; the folder is made where it is missing.

    The part's name holds the process id: several processes may write the same file, and the last
    one wins. With `sync` the content is on the disk before the new name is, so that the file
    survives a power cut; without, it only survives the process. Raises OSError.
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
        part.unlink(missing_ok=True)  # of no use, and it may be what fills the disk


def sync_file(path: Path) -> None:
    """Once this returns, the file's content survives a power cut. Raises OSError."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
