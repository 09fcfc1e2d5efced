"""Jumps of the clock: a library that is loaded before libc's shifts the time of day.

Its offset is in a file that all processes of the search map; monotonic time is as it was.
"""

from __future__ import annotations

import random
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

from helpers.checkout import ROOT
from soak.scene import Place, Search

SOURCE = ROOT / "tests" / "c" / "shifted_clock.c"


def jump(seconds: float) -> Callable[[Place, int, random.Random], Search]:
    """Shift the clock once, after the first trial."""

    def do(place: Place, trials: int, rng: random.Random) -> Search:
        search, offset = _search(place, trials)
        if search.wait_for_trials(1):
            _shift(offset, seconds)
        search.end()
        return search

    return do


def to_and_fro(place: Place, trials: int, rng: random.Random) -> Search:
    """Shift it again and again, by up to an hour."""
    search, offset = _search(place, trials)

    def ended() -> bool:
        _shift(offset, rng.uniform(-3600.0, 3600.0))
        return search.ended()

    search.wait(ended)
    search.end()
    return search


def _search(place: Place, trials: int) -> tuple[Search, Path]:
    library, offset = place.root / "shifted_clock.so", place.root / "offset"
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE)]
    subprocess.run(command, check=True)
    _shift(offset, 0.0)
    settings = {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(offset)}
    return Search(place, trials, settings=settings), offset


def _shift(path: Path, seconds: float) -> None:
    """Write whole seconds into the file, which is mapped: in one write, not by a new file."""
    with path.open("r+b" if path.exists() else "wb", buffering=0) as file:
        file.write(struct.pack("<q", int(seconds)))
