"""A fingerprint of the code that produces results; all machines of a farm must have the same."""

from __future__ import annotations

import functools
import sys
from importlib.metadata import PackageNotFoundError, version

from compress.cache import content_hash, source_files
from hil.files import PACKAGE, data_folder


def code_id() -> str:
    """Versions of hil-compress (with a hash of its sources), torch, Python and tflite-runtime."""
    python = ".".join(map(str, sys.version_info[:2]))
    try:
        oracle = f"tflite-runtime {version('tflite-runtime')}"
    except PackageNotFoundError:
        oracle = "no tflite-runtime"
    ours = f"hil-compress {version('hil-compress')} ({_sources()})"
    return f"{ours}, torch {version('torch')}, Python {python}, {oracle}"


@functools.cache
def _sources() -> str:
    firmware = (path for path in data_folder("firmware").rglob("*") if path.is_file())
    return content_hash((), [*source_files(), *PACKAGE.rglob("*.py"), *firmware])[:12]
