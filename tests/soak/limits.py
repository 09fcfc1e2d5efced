"""Low limits of the system for a search."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
from collections.abc import Callable

from soak.scene import Place, Search

_NOBODY = 65534


def _limited(
    place: Place, trials: int, limits: Callable[[], None], settings: dict[str, str] | None = None
) -> Search:
    search = Search(place, trials, limits=limits, settings=settings)
    search.end()
    return search


def few_files(place: Place, trials: int, rng: random.Random) -> Search:
    """4 to 64 open files."""
    most = rng.choice((4, 8, 12, 16, 20, 24, 32, 48, 64))
    return _limited(place, trials, lambda: _limit(resource.RLIMIT_NOFILE, most))


def little_memory(place: Place, trials: int, rng: random.Random) -> Search:
    """0.2 to 3 GB of address space."""
    most = int(rng.uniform(0.2, 3.0) * (1 << 30))
    return _limited(place, trials, lambda: _limit(resource.RLIMIT_AS, most))


def small_files(place: Place, trials: int, rng: random.Random) -> Search:
    """No file larger than 1 KiB to 1 MiB."""
    most = 1 << rng.randrange(10, 21)
    return _limited(place, trials, lambda: _limit(resource.RLIMIT_FSIZE, most))


def few_processes(place: Place, trials: int, rng: random.Random) -> Search:
    """1 to 12 processes and threads of a user of its own: for root there is no limit."""
    most = rng.randrange(1, 13)
    for path in (place.root, *place.root.rglob("*")):
        os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)
    for path in (place.root.parent, place.root):
        path.chmod(0o755)

    def limits() -> None:
        _limit(resource.RLIMIT_NPROC, most)
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)

    try:
        return _limited(place, trials, limits, {"HOME": str(place.root)})
    finally:
        for path in (place.root, *place.root.rglob("*")):
            os.chown(path, os.geteuid(), os.getegid(), follow_symlinks=False)


def others_can_run() -> bool:
    """True if the user whose processes are limited may run this Python."""
    try:
        command = [sys.executable, "-c", ""]
        return subprocess.run(command, user=_NOBODY, group=_NOBODY, cwd="/").returncode == 0
    except PermissionError:
        return False


def _limit(what: int, most: int) -> None:
    resource.setrlimit(what, (most, most))
