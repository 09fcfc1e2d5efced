"""What decides about a result beside the data, in a few words: equal on all machines of a farm."""

from __future__ import annotations

import functools
import sys
from importlib.metadata import PackageNotFoundError, version

from compress.cache import content_hash, source_files
from hil.files import PACKAGE, data_folder


def code_id() -> str:
    """Our sources, torch, Python's minor version, and the oracle that checks networks."""
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
