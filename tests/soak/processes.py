"""The processes of a search, found by a mark in their environment, whoever their parent is now."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARK = "HIL_SOAK_PLACE"
# By the first of these that a command line contains.
_KINDS = {
    "resource_tracker": "tracker",
    "spawn_main": "worker",
    "-machine": "emulator",
    "judging.child": "judge",
    "arm-none-eabi": "compiler",
    "hil\0evolve": "main",
    "hil\0farm\0scheduler": "scheduler",
    "hil\0farm\0worker": "bench",
}


@dataclass(frozen=True, slots=True)
class Process:
    """A process with its kind (a value of `_KINDS`, or "other") and its resident memory."""

    pid: int
    kind: str
    resident_bytes: int


def processes_of(place: Path) -> list[Process]:
    """The living processes whose environment has the mark of `place`, zombies left out."""
    mark = f"{MARK}={place}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            if mark not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            line = (entry / "cmdline").read_text(errors="replace")
            kind = next((name for part, name in _KINDS.items() if part in line), "other")
            pages = int((entry / "statm").read_text().split()[1])
            if (entry / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                size_bytes = pages * os.sysconf("SC_PAGE_SIZE")
                found.append(Process(int(entry.name), kind, size_bytes))
    return found


def send(number: signal.Signals, *processes: Process) -> None:
    """Send a signal; a process that has ended meanwhile gets none."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


def end_all(place: Path) -> list[Process]:
    """Kill all processes of `place`; returns those that there were."""
    there = processes_of(place)
    while left := processes_of(place):
        send(signal.SIGKILL, *left)
        time.sleep(0.05)
    return there


def left_after(place: Path, patience_s: float) -> list[Process]:
    """The processes of `place` that still live after a time."""
    until = time.monotonic() + patience_s
    while (left := processes_of(place)) and time.monotonic() < until:
        time.sleep(0.1)
    return left
