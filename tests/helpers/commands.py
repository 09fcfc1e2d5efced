"""The command `hil` in forks of one process that has imported the slow packages.

torch and the others take three seconds of each command's, and tests run a hundred of them. Tests
that look at imports, at signals or at what a kill leaves start processes of their own.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from helpers import fork_client, fork_server

# What a search imports of others, but pyocd: it would import its plugin, which is of hil.
PACKAGES = (
    *("torch", "numpy", "sklearn.datasets", "matplotlib.backends.backend_agg", "plotly.offline"),
    *("deap", "moocore", "typer.rich_utils", "rich.progress", "jinja2", "elftools.elf.elffile"),
)
START_S = 300.0  # on a loaded machine


@cache
def forking() -> tuple[str, ...]:
    """The words of a command line before the arguments of `hil`; starts the process that forks."""
    folder = tempfile.TemporaryDirectory(prefix="forks-")
    path = Path(folder.name) / "socket"
    process = subprocess.Popen(
        [sys.executable, "-I", fork_server.__file__, str(os.getpid()), path, *PACKAGES],
        stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    atexit.register(folder.cleanup)
    atexit.register(process.wait)
    atexit.register(process.kill)  # what was registered last is called first
    until = time.monotonic() + START_S
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    return (sys.executable, "-I", "-S", fork_client.__file__, str(path))


def hil(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None, limit_s: float
) -> subprocess.CompletedProcess[str]:
    """Run `hil` in `folder` to its end, with `environment` added to ours."""
    return subprocess.run(
        [*forking(), *arguments],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
