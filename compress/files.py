"""Atomic file writes."""

from __future__ import annotations

import os
from pathlib import Path


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
