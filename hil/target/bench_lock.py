"""What processes know of each other's benches: one lock and one list of failures per probe.

Both lie under ~/.local/state/hil-compress/bench (XDG_STATE_HOME is honoured). The kernel drops a
lock when its process ends, however it ends. A probe whose board has failed `PATIENCE` times with
no run in between is quarantined: nobody opens it until `hil doctor --board NAME --release`.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from compress.errors import UserError
from compress.files import write_whole
from hil.errors import BenchError
from hil.target.bench_file import Location

WAIT_S = 120.0  # longer than one measurement of a slow board takes
PATIENCE = 3
_POLL_S = 0.05


class BenchBusy(BenchError):
    """Another process has the board and did not let go of it in time."""


class Quarantined(BenchError):
    """The board has failed too often; `transcript` is that of its last failure."""


def state_folder() -> Path:
    """Where locks and failures are kept."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "hil-compress" / "bench"


class Claim:
    """A probe that is ours until `release()`, or until this process ends."""

    def __init__(self, location: Location, file: IO[str]) -> None:
        self.location = location
        self._file = file

    def release(self) -> None:
        """Let others have it; may be called twice."""
        self._file.close()


def claim(locations: Sequence[Location], wait_s: float = WAIT_S) -> Claim:
    """The first of these benches that is free, waiting for one as long as `wait_s`.

    Raises Quarantined if none is fit for use, BenchBusy naming the process that has it.
    """
    deadline = time.monotonic() + wait_s
    while True:
        fit = [location for location in locations if _is_fit(location)]
        if not fit:
            raise _quarantined(locations[0])
        for location in fit:
            file = _lock(location)
            if file is not None:
                if _is_fit(location):  # still, now that nobody else can fail with it
                    return Claim(location, file)
                file.close()
        if time.monotonic() > deadline:
            raise BenchBusy(
                f"board {fit[0].board} is in use by {_holder(fit[0])}: waited {wait_s:g} s"
            )
        time.sleep(_POLL_S)


def failures(location: Location) -> list[dict[str, str]]:
    """What went wrong since the last run that succeeded: `time`, `error`, `transcript` of each."""
    return _read(_path(location, "failures.json"))[2]


def note_failure(location: Location, error: BenchError) -> bool:
    """Remember a failure of a bench that is ours; True if it is quarantined for it."""
    noted = failures(location)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    what = f"{type(error).__name__}: {error}"
    noted.append({"time": now, "error": what, "transcript": error.transcript})
    content = {"board": location.board, "probe": location.probe_id, "failures": noted}
    path = _path(location, "failures.json")
    write_whole(path, (json.dumps(content, indent=2) + "\n").encode())
    return len(noted) >= PATIENCE


def note_success(location: Location) -> None:
    """A run has succeeded: earlier failures were not the board's end."""
    _path(location, "failures.json").unlink(missing_ok=True)


def release(board: str) -> list[str]:
    """Forget the failures of every bench of this board; returns the probes' ids."""
    released = []
    for path in sorted(state_folder().glob("*.failures.json")):
        failed_board, probe_id, _ = _read(path)
        if failed_board == board:
            path.unlink(missing_ok=True)
            released.append(probe_id)
    return released


def quarantine_text(location: Location) -> str:
    """Why the bench is refused and what to do about it; '' if it is not."""
    noted = failures(location)
    if len(noted) < PATIENCE:
        return ""
    return (
        f"board {location.board} on probe {location.probe_id} is quarantined: it failed "
        f"{len(noted)} times in a row, last at {noted[-1]['time']} with "
        f"{noted[-1]['error']} (transcripts: {_path(location, 'failures.json')}); "
        f"look at its cable and power, then: hil doctor --board {location.board} --release"
    )


def _is_fit(location: Location) -> bool:
    return len(failures(location)) < PATIENCE


def _quarantined(location: Location) -> Quarantined:
    return Quarantined(quarantine_text(location), failures(location)[-1]["transcript"])


def _lock(location: Location) -> IO[str] | None:
    """The lock's open file with our process id in it, or None if another process has it."""
    path = _path(location, "lock")
    try:
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; XDG_STATE_HOME chooses another place"
        ) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _read(path: Path) -> tuple[str, str, list[dict[str, str]]]:
    """Board, probe and failures in a file; empty if there is none or it is torn (a full disk)."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return content["board"], content["probe"], list(content["failures"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return "", "", []


def _holder(location: Location) -> str:
    pid = _path(location, "lock").read_text(encoding="utf-8").strip()
    try:
        command = Path(f"/proc/{int(pid)}/cmdline").read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return f"process {pid or '(unknown)'}"
    return f"process {pid} ({command.replace(chr(0), ' ').strip()[:80]})"


def _path(location: Location, kind: str) -> Path:
    """`<probe id>.<kind>` in the state folder, which is made. Raises UserError."""
    folder = state_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make {folder}: {error.strerror}; XDG_STATE_HOME chooses another place"
        ) from None
    return folder / f"{re.sub(r'[^0-9A-Za-z.-]', '_', location.probe_id)}.{kind}"
