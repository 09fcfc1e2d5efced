"""The user's cache folder, and the hash that names its entries after all they depend on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def cache_folder() -> Path:
    """~/.cache/hil-compress; XDG_CACHE_HOME is honored."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "hil-compress"


def content_hash(parts: Iterable[str | bytes], files: Iterable[Path] = ()) -> str:
    """SHA-256, the first 32 hexadecimal digits, of texts, bytes, and files' names and contents.

    Each part is preceded by its kind and length, so that no two lists of parts run together to the
    same bytes. Files count in the order of their paths, with their folder's name.
    """
    digest = hashlib.sha256()
    for part in parts:
        content = part if isinstance(part, bytes) else part.encode()
        digest.update(f"{type(part).__name__} {len(content)} ".encode() + content)
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(f"file {path.parent.name}/{path.name} {len(content)} ".encode() + content)
    return digest.hexdigest()[:32]


def source_files() -> list[Path]:
    """The sources of this package, all rooms included, which decide about trained networks."""
    return sorted(PACKAGE.rglob("*.py"))
