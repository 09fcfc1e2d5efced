"""A fingerprint of the code that produces results; all machines of a farm must have the same."""

from __future__ import annotations

import functools
import sys
from importlib.metadata import PackageNotFoundError, version

from compress.cache import content_hash, source_files
from compress.tflite.oracle import ORACLES
from hil.files import PACKAGE, data_folder


def code_id() -> str:
    """Versions of hil-compress (with a hash of its sources), torch, Python, NumPy and the oracles.

    NumPy's major version counts, since tflite-runtime works with NumPy 1 only.
    """
    python = ".".join(map(str, sys.version_info[:2]))
    ours = f"hil-compress {version('hil-compress')} ({_sources()})"
    numpy = f"NumPy {version('numpy').split('.')[0]}"
    judges = ", ".join(_oracle(oracle.package) for oracle in ORACLES)
    return f"{ours}, torch {version('torch')}, Python {python}, {numpy}, {judges}"


def _oracle(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"


@functools.cache
def _sources() -> str:
    firmware = (path for path in data_folder("firmware").rglob("*") if path.is_file())
    return content_hash((), [*source_files(), *PACKAGE.rglob("*.py"), *firmware])[:12]
