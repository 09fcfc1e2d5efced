"""A run in a place of its own, a search that works on it, and what must hold afterwards."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from helpers.checkout import ROOT
from soak.processes import MARK, Process, end_all, left_after, processes_of, send

TASK = Path(__file__).with_name("tiny_task.py")
RUN = Path("runs") / "soak"
OWN_MOUNTS = "HIL_SOAK_MOUNTS"  # set where this program has mounts of its own (`soak.run`)
LIMIT_S = 600.0  # for a search on a loaded machine to go on, or to end: longer is a hang
_LEFT_S = 15.0  # for children of a killed process to end
_POLL_S = 0.2
_LOOK_S = 2.0  # between two looks at the memory of all processes, which take time themselves
_TRAINED = ("prefixes", "sensitivity", "networks")  # folders of a cache
_SHARED = Path("/dev/shm")
_TORCH = "torchinductor_"  # torch's own folder in $TMPDIR, one for each user
# Columns of a trial that an undisturbed search of the same seed has, too.
ESSENCE = "key, fidelity, state, accuracy, program_sha256, json_extract(measurement, '$.count')"
NOISE = re.compile(r"Traceback|resource_tracker|leaked|Exception ignored|core dumped")
ERROR_LINE = re.compile(r"hil: (error: .+|interrupted)")

Rows = dict[tuple[str, float], tuple[object, ...]]


class Hang(Exception):
    """A search neither goes on nor ends within `LIMIT_S`."""


@dataclass
class Outcome:
    """What came of one disturbance: faults in words, the largest memory of all processes, time."""

    faults: list[str] = field(default_factory=list)
    lost: int = 0
    changed: int = 0
    doubled: int = 0
    peak_bytes: int = 0
    exit_codes: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    """A folder with a run, a cache and a $TMPDIR of its own."""

    root: Path

    @classmethod
    def make(cls, root: Path, template: Place | None = None) -> Place:
        """A place without a run; with what was compiled in the template's cache, not trained."""
        place = cls(root)
        for folder in (place.work, place.tmp, place.cache):
            folder.mkdir(parents=True)
        if template is not None:
            trained = shutil.ignore_patterns(*_TRAINED)
            shutil.copytree(template.cache, place.cache, ignore=trained, dirs_exist_ok=True)
        return place

    @classmethod
    def copy(cls, template: Place, root: Path) -> Place:
        """A place with a copy of the run and the cache of another one, in which nothing runs."""
        for name in ("work", "cache", "tmp"):
            shutil.copytree(template.root / name, root / name)
        return cls(root)

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def tmp(self) -> Path:
        return self.root / "tmp"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def run(self) -> Path:
        return self.work / RUN

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "XDG_CACHE_HOME": str(self.cache),
            "TMPDIR": str(self.tmp),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            MARK: str(self.root),
        }

    def rows(self, columns: str = "*") -> Rows:
        """The committed trials by genome and fidelity; none before there is a store."""
        try:
            connection = sqlite3.connect(
                f"file:{self.run / 'store.sqlite'}?mode=ro", uri=True, timeout=30
            )
            with closing(connection):
                found = connection.execute(f"SELECT key, fidelity, {columns} FROM trials")
                return {(row[0], row[1]): tuple(row[2:]) for row in found}
        except sqlite3.OperationalError:
            return {}

    def numbers(self) -> list[int]:
        """The numbers of the trials."""
        with closing(sqlite3.connect(self.run / "store.sqlite", timeout=30)) as connection:
            return [
                row[0] for row in connection.execute("SELECT number FROM trials ORDER BY rowid")
            ]

    def scratch(self) -> list[str]:
        """What is left in $TMPDIR, of unfinished entries in the cache and files in the run."""
        parts = [*self.cache.rglob(".scratch-*"), *self.cache.rglob("*.scratch")]
        parts += [*self.cache.rglob("*.part"), *self.run.glob("*.scratch")]
        temporary = (path for path in self.tmp.iterdir() if not path.name.startswith(_TORCH))
        shared = _SHARED.glob("sem.*") if _owns_shared_memory() else ()
        return sorted(str(path) for path in (*temporary, *parts, *shared))

    def forget_semaphores(self) -> None:
        """Remove all semaphores, as a machine that restarts does."""
        if _owns_shared_memory():
            for path in _SHARED.glob("sem.*"):
                path.unlink()


def _owns_shared_memory() -> bool:
    """True if /dev/shm is a mount of this program (`soak.run`), which no one else uses."""
    return OWN_MOUNTS in os.environ


class Search:
    """A `hil evolve` of a place, from its start to its end."""

    def __init__(
        self,
        place: Place,
        trials: int,
        *arguments: str,
        settings: Mapping[str, str] | None = None,
        limits: Callable[[], None] | None = None,
        under: tuple[str, ...] = (),
        told: str = "stderr",
    ) -> None:
        self.place = place
        self.before = place.rows()
        self.peak_bytes = 0
        self.began = self._looked = time.monotonic()
        self._told = place.root / told
        self.others: list[Path] = []  # files to which others write their errors
        command = [sys.executable, "-m", "hil", "evolve", "--task", str(TASK), "--board", "m3"]
        command += ["--run", RUN.name, "--engine", "random", "--patience", "1000000", "--minutes"]
        command += ["10000", "--trials", str(trials), "--json", *arguments]
        if "--farm" not in arguments:
            command += ["--processes", "1"]
        with self._told.open("wb") as errors:
            self.process = subprocess.Popen(
                [*under, *command],
                cwd=place.work,
                env={**place.environment, **(settings or {})},
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
                preexec_fn=lambda: _as_in_a_terminal(limits),
            )

    @property
    def told(self) -> str:
        """What it wrote to stderr."""
        return self._told.read_text(errors="replace")

    def look(self) -> list[Process]:
        """Its processes now; their memory counts for the peak."""
        found, self._looked = processes_of(self.place.root), time.monotonic()
        self.peak_bytes = max(self.peak_bytes, sum(one.resident_bytes for one in found))
        return found

    def of_kind(self, kind: str) -> list[Process]:
        return [one for one in self.look() if one.kind == kind]

    def ended(self) -> bool:
        return self.process.poll() is not None

    def wait(self, until: Callable[[], bool], limit_s: float = LIMIT_S) -> bool:
        """Wait until something holds or the search ends; False if it has ended. Raises Hang."""
        deadline = time.monotonic() + limit_s
        while not until():
            if self.ended():
                return False
            if time.monotonic() > deadline:
                raise Hang(f"nothing after {limit_s:.0f} s: {self.told[-300:]!r}")
            if time.monotonic() - self._looked > _LOOK_S:
                self.look()
            time.sleep(_POLL_S)
        return True

    def wait_for_trials(self, count: int) -> bool:
        """Wait for so many trials more than there were at the start."""
        return self.wait(lambda: len(self.place.rows()) >= len(self.before) + count)

    def wait_for(self, kind: str, limit_s: float = LIMIT_S) -> list[Process]:
        """The processes of a kind, once there are some; none if the search ends before."""
        self.wait(lambda: bool(self.of_kind(kind)), limit_s)
        return self.of_kind(kind)

    def end(self, limit_s: float = LIMIT_S) -> int:
        """Wait for the end; returns the exit code (negative: the signal). Raises Hang."""
        self.wait(self.ended, limit_s)
        return self.process.wait()

    def kill(self) -> None:
        """Kill it alone: what it started must end with it."""
        send(signal.SIGKILL, Process(self.process.pid, "main", 0))
        self.process.wait()


def _as_in_a_terminal(limits: Callable[[], None] | None) -> None:
    """In the child: Ctrl-C is heard, which a background job's children ignore; low limits."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if limits is not None:
        limits()


def check_end(outcome: Outcome, search: Search, allowed: frozenset[int]) -> None:
    """Check how a search ended: exit code, one line, no child left, no trial lost or changed."""
    code = search.process.returncode
    outcome.exit_codes.append(code)
    outcome.peak_bytes = max(outcome.peak_bytes, search.peak_bytes)
    if code not in allowed:
        words = search.told.strip()[-600:]
        outcome.faults.append(f"exit code {code}, allowed are {sorted(allowed)}: {words}")
    told = search.told
    for text in (told, *(path.read_text(errors="replace") for path in search.others)):
        if (found := NOISE.search(text)) is not None:
            outcome.faults.append(f"not one line: {text[max(0, found.start() - 100) :][-900:]}")
    if code > 0 and len(ERROR_LINE.findall(told)) != 1:
        outcome.faults.append(f"exit code {code} without one line of error: {told[-300:]!r}")
    if left := left_after(search.place.root, _LEFT_S):
        outcome.faults.append(f"left running: {', '.join(one.kind for one in left)}")
        end_all(search.place.root)
    after = search.place.rows()
    outcome.lost += sum(key not in after for key in search.before)
    outcome.changed += sum(key in after and after[key] != row for key, row in search.before.items())


def check_against(outcome: Outcome, place: Place, reference: Rows) -> None:
    """Check the run's trials against those of an undisturbed search, and that none is double."""
    essence, numbers = place.rows(ESSENCE), place.numbers()
    outcome.changed += sum(reference.get(key, row) != row for key, row in essence.items())
    if unknown := [key for key in essence if key not in reference]:
        outcome.faults.append(f"{len(unknown)} trials that an undisturbed search does not try")
    outcome.doubled += len(numbers) - len(set(numbers))
    if sorted(numbers) != list(range(1, len(numbers) + 1)):
        outcome.faults.append(f"trials are not numbered one by one: {numbers}")
