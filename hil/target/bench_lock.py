"""Locks and failure lists that processes share: one of each per debug probe.

Both are files under ~/.local/state/hil-compress/bench ($XDG_STATE_HOME replaces ~/.local/state).
The kernel releases a lock when its process ends, however it ends. A bench that has failed
`QUARANTINE_FAILURES` times with no successful run in between is quarantined: no process opens it
until `hil doctor --board NAME --release`.
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
from compress.files import write_atomically
from hil.errors import BenchError
from hil.target.bench_file import Bench

CLAIM_WAIT_S = 120.0  # longer than a measurement on a slow board
QUARANTINE_FAILURES = 3
_POLL_S = 0.05


class BenchBusy(BenchError):
    """Another process uses the bench and did not release it in time."""


class Quarantined(BenchError):
    """The bench has failed too often; `transcript` is that of its last failure."""


def state_folder() -> Path:
    """The folder of locks and failure lists."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "hil-compress" / "bench"


class Claim:
    """A bench locked by this process, until `release()` or until the process ends."""

    def __init__(self, bench: Bench, file: IO[str]) -> None:
        self.bench = bench
        self._file = file

    def release(self) -> None:
        """Unlock the bench; may be called twice."""
        self._file.close()


def claim(benches: Sequence[Bench], wait_s: float = CLAIM_WAIT_S) -> Claim:
    """Lock the first free bench of `benches`; wait at most `wait_s` for one.

    Raises Quarantined if all are quarantined, BenchBusy with the process that uses the first one.
    """
    deadline = time.monotonic() + wait_s
    while True:
        usable = [bench for bench in benches if _is_usable(bench)]
        if not usable:
            raise _quarantined(benches[0])
        for bench in usable:
            file = _lock(bench)
            if file is not None:
                if _is_usable(bench):  # again: its last user may have failed since the check above
                    return Claim(bench, file)
                file.close()
        if time.monotonic() > deadline:
            raise BenchBusy(
                f"board {usable[0].board} is in use by {_holder(usable[0])}: waited {wait_s:g} s"
            )
        time.sleep(_POLL_S)


def recorded_failures(bench: Bench) -> list[dict[str, str]]:
    """The failures since the last successful run: `time`, `error`, `transcript` of each."""
    return _read(_path(bench, "failures.json"))[2]


def record_failure(bench: Bench, error: BenchError) -> bool:
    """Append a failure of a locked bench; True if the bench is now quarantined."""
    recorded = recorded_failures(bench)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    text = f"{type(error).__name__}: {error}"
    recorded.append({"time": now, "error": text, "transcript": error.transcript})
    content = {"board": bench.board, "probe": bench.probe_id, "failures": recorded}
    path = _path(bench, "failures.json")
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())
    return len(recorded) >= QUARANTINE_FAILURES


def record_success(bench: Bench) -> None:
    """Clear the failures of a bench after a successful run."""
    _path(bench, "failures.json").unlink(missing_ok=True)


def release_quarantine(board: str) -> list[str]:
    """Clear the failures of every bench of `board`; returns the ids of their probes."""
    released = []
    for path in sorted(state_folder().glob("*.failures.json")):
        failed_board, probe_id, _ = _read(path)
        if failed_board == board:
            path.unlink(missing_ok=True)
            released.append(probe_id)
    return released


def quarantine_reason(bench: Bench) -> str:
    """The reason why a bench is quarantined, and what to do; '' if it is not."""
    recorded = recorded_failures(bench)
    if len(recorded) < QUARANTINE_FAILURES:
        return ""
    return (
        f"board {bench.board} on probe {bench.probe_id} is quarantined: it failed "
        f"{len(recorded)} times in a row, last at {recorded[-1]['time']} with "
        f"{recorded[-1]['error']} (transcripts: {_path(bench, 'failures.json')}); "
        f"check its cable and power, then: hil doctor --board {bench.board} --release"
    )


def _is_usable(bench: Bench) -> bool:
    return len(recorded_failures(bench)) < QUARANTINE_FAILURES


def _quarantined(bench: Bench) -> Quarantined:
    return Quarantined(quarantine_reason(bench), recorded_failures(bench)[-1]["transcript"])


def _lock(bench: Bench) -> IO[str] | None:
    """The open lock file, with this process's id in it, or None if another process holds it."""
    path = _path(bench, "lock")
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
    """Board, probe id and failures in a file; empty if it is missing or truncated (full disk)."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return content["board"], content["probe"], list(content["failures"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return "", "", []


def _holder(bench: Bench) -> str:
    pid = _path(bench, "lock").read_text(encoding="utf-8").strip()
    try:
        command = Path(f"/proc/{int(pid)}/cmdline").read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return f"process {pid or '(unknown)'}"
    return f"process {pid} ({command.replace(chr(0), ' ').strip()[:80]})"


def _path(bench: Bench, kind: str) -> Path:
    """The file `<probe id>.<kind>` in the state folder. Creates the folder; raises UserError."""
    folder = state_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot create {folder}: {error.strerror}; XDG_STATE_HOME chooses another place"
        ) from None
    return folder / f"{re.sub(r'[^0-9A-Za-z.-]', '_', bench.probe_id)}.{kind}"
