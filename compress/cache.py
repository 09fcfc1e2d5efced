"""The user's cache folder, and the hash that names a cache entry by all of its inputs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def cache_folder() -> Path:
    """The folder hil-compress in XDG_CACHE_HOME, or in ~/.cache where that is not set."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "hil-compress"


def content_hash(parts: Iterable[str | bytes], files: Iterable[Path] = ()) -> str:
    """The first 32 hexadecimal digits of the SHA-256 of `parts` and of `files`.

    Each part is preceded by its type and length, so that no two lists of parts concatenate to the
    same bytes. Files are hashed in the order of their paths: the name with that of its folder,
    then the content.
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
    """All source files of this package, sorted: cached networks depend on each of them."""
    return sorted(PACKAGE.rglob("*.py"))
