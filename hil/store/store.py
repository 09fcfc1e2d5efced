"""A run's memory: one SQLite file in which every finished trial is kept, whatever happens next.

A trial is committed when it ends; a genome that is in the store is never run again, so that
resuming is nothing but opening the same folder. Times (`started`, `heartbeat`) are seconds since
1970; how the file is kept safe is in `hil.store.sqlite`.
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from compress.errors import UserError
from compress.genome import Genome
from hil.board import facts_in_words
from hil.store import migrate, sqlite
from hil.store.trial_json import trial_from_json, trial_to_json
from hil.types import Trial

STORE_FILE = "store.sqlite"
_JSON_COLUMNS = ("genome", "measurement", "seconds", "provenance", "costs", "estimate")


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What makes two trials comparable: task, board (its name and a hash of its file), seed."""

    task: str
    board: str
    seed: int
    board_sha256: str


@dataclass(frozen=True, slots=True)
class Session:
    """One process that worked on the run. `stopped_by` is None if it was killed or still runs.

    `engine` chose what to try, "" where that is not known; `energy_j` went into it, in joules.
    `goal` is what was asked for (`hil.objective.goal.Goal.to_json`), None where only the accuracy
    is known; `processes` worked at a time, 0 where that is not known.
    """

    id: int
    started: float
    heartbeat: float
    accuracy_target: float
    stopped_by: str | None
    engine: str = ""
    energy_j: float = 0.0
    goal: Mapping[str, Any] | None = None
    processes: int = 0


@dataclass(frozen=True, slots=True)
class Final:
    """A trial's figures on a split that no decision was made on.

    `correct` of `total` samples on the device; `accuracy` (share of 1) on the host, whole split.
    """

    number: int
    split: str
    correct: int
    total: int
    accuracy: float


class Store:
    """An open store, as a context manager. One writer per folder, any number of readers."""

    def __init__(self, folder: Path, connection: sqlite3.Connection, resources: ExitStack) -> None:
        self.folder = folder
        self.path = folder / STORE_FILE
        self._connection = connection
        self._resources = resources
        self._session: int | None = None
        self._session_began = 0.0
        self._parsed: dict[int, Trial] = {}  # a trial never changes once it is committed

    @classmethod
    def open(cls, folder: Path, identity: RunIdentity) -> Self:
        """Create the run in `folder`, or continue it there; an older store is migrated.

        Raises UserError, with nothing written, if the folder holds a run of another identity, or
        a foreign, damaged or newer store, or if another search is writing to it.
        """
        path = folder / STORE_FILE
        with ExitStack() as resources, sqlite.store_errors(path):
            if path.exists():
                with closing(sqlite.open_database(path, read_only=True)) as connection:
                    if not sqlite.is_new(connection):
                        sqlite.check_format(connection, path)
                        check_same_run(folder, _identity(connection), identity)
            folder.mkdir(parents=True, exist_ok=True)
            resources.enter_context(sqlite.writer_lock(folder))
            connection = sqlite.open_database(path, read_only=False)
            resources.callback(connection.close)
            connection.execute("PRAGMA journal_mode = WAL")
            if sqlite.is_new(connection):
                with sqlite.transaction(connection, path):
                    sqlite.create_tables(connection)
                    connection.execute(
                        "INSERT INTO run VALUES (1, :task, :board, :seed, :board_sha256, :now)",
                        {**asdict(identity), "now": time.time()},
                    )
            elif sqlite.version(connection) < sqlite.SCHEMA_VERSION:
                migrate.migrate_file(connection, path)
            return cls(folder, connection, resources.pop_all())

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Open an existing run for reading only. Raises UserError if there is none.

        An older store is left as it is: what is read is a copy of it as it was now.
        """
        path = folder / STORE_FILE
        if not path.is_file():
            runs = sorted(found.parent.name for found in folder.parent.glob(f"*/{STORE_FILE}"))
            there = f"runs in {folder.parent}: {', '.join(runs)}" if runs else "start one first"
            raise UserError(f"no run in {folder} ({there})")
        with ExitStack() as resources, sqlite.store_errors(path):
            connection = sqlite.open_database(path, read_only=True)
            resources.callback(connection.close)
            sqlite.check_format(connection, path)
            if sqlite.version(connection) < sqlite.SCHEMA_VERSION:
                connection = migrate.migrated_copy(connection, path)
                resources.callback(connection.close)
            return cls(folder, connection, resources.pop_all())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and let the next writer in."""
        self._resources.close()

    @property
    def identity(self) -> RunIdentity:
        """Task, board and seed of this run."""
        with sqlite.store_errors(self.path):
            return _identity(self._connection)

    def add(self, trial: Trial) -> bool:
        """Commit a finished trial. False, and nothing changes, if its proposal is already there.

        Raises UserError if the disk is full; ValueError for a number that is not finite;
        sqlite3.IntegrityError if the trial's number belongs to another genome.
        """
        if not math.isfinite(trial.violation):
            raise ValueError(f"trial {trial.number}: violation is {trial.violation}")
        row = trial_to_json(trial)
        del row["order"]
        for column in _JSON_COLUMNS:
            row[column] = json.dumps(row[column], allow_nan=False)
        return self._insert("trials", "key, fidelity", {**row, "created": time.time()})

    def find(self, genome: Genome, fidelity: float = 1.0) -> Trial | None:
        """The trial of this genome at this fidelity, if it was ever run."""
        query = "SELECT number FROM trials WHERE key = ? AND fidelity = ?"
        rows = self._rows(query, genome.key, fidelity)
        return self._trial(rows[0]["number"]) if rows else None

    def trials(self, fidelity: float | None = None) -> tuple[Trial, ...]:
        """All trials, or those of one fidelity, in the order of their numbers."""
        query = "SELECT number FROM trials WHERE ?1 IS NULL OR fidelity = ?1 ORDER BY number"
        return tuple(self._trial(row["number"]) for row in self._rows(query, fidelity))

    def count(self) -> int:
        """How many genomes were tried in full: screening them at a lower fidelity is no trial."""
        query = "SELECT count(*) AS trials FROM trials WHERE fidelity = 1"
        return int(self._rows(query)[0]["trials"])

    def next_number(self) -> int:
        """One more than the highest trial number; 1 in an empty store."""
        return int(self._rows("SELECT coalesce(max(number), 0) + 1 AS n FROM trials")[0]["n"])

    def add_final(self, final: Final) -> bool:
        """Write final figures, once: False, and the first stay, if they are already there."""
        return self._insert("finals", "number, split", asdict(final))

    def finals(self) -> tuple[Final, ...]:
        """All final figures, by trial number and split."""
        rows = self._rows("SELECT * FROM finals ORDER BY number, split")
        return tuple(Final(**row) for row in rows)

    def set_original_accuracy(self, split: str, accuracy: float) -> bool:
        """Note the float network's accuracy on a split, once: False, and the first stays."""
        return self._insert("originals", "split", {"split": split, "accuracy": accuracy})

    def original_accuracies(self) -> dict[str, float]:
        """The float network's accuracy (share of 1) by split, where it was noted."""
        rows = self._rows("SELECT * FROM originals ORDER BY split")
        return {row["split"]: row["accuracy"] for row in rows}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is added within is committed together at the end, or not at all."""
        with sqlite.transaction(self._connection, self.path):
            yield

    def begin_session(
        self,
        accuracy_target: float,
        engine: str = "",
        goal: Mapping[str, Any] | None = None,
        processes: int = 0,
    ) -> None:
        """From now on this process's time counts as used; the target is what the report shows.

        The rest is as in `Session`.
        """
        now = time.time()
        with sqlite.transaction(self._connection, self.path):
            cursor = self._connection.execute(
                "INSERT INTO sessions "
                "(started, heartbeat, accuracy_target, engine, goal, processes) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (now, now, accuracy_target, engine, json.dumps(goal), processes),
            )
        self._session, self._session_began = cursor.lastrowid, time.monotonic()

    def add_goal(self, accuracy_target: float, goal: Mapping[str, Any] | None) -> None:
        """Let the report follow what was asked for elsewhere: as a session that took no time."""
        now = time.time()
        with sqlite.transaction(self._connection, self.path):
            self._connection.execute(
                "INSERT INTO sessions (started, heartbeat, accuracy_target, stopped_by, goal) "
                "VALUES (?, ?, ?, 'merged', ?)",
                (now, now, accuracy_target, json.dumps(goal)),
            )

    def end_session(self, stopped_by: str) -> None:
        """Note in a few words what ended this session, as the report will show it."""
        with sqlite.transaction(self._connection, self.path):
            self._beat()
            self._connection.execute(
                "UPDATE sessions SET stopped_by = ? WHERE id = ?", (stopped_by, self._session)
            )

    def add_energy(self, joules: float) -> None:
        """Count energy as used by this session. Raises ValueError where none was begun."""
        if self._session is None:
            raise ValueError("energy is used by a session: begin one first")
        with sqlite.transaction(self._connection, self.path):
            self._connection.execute(
                "UPDATE sessions SET energy_j = energy_j + ? WHERE id = ?",
                (joules, self._session),
            )
            self._beat()

    def used_joules(self) -> float:
        """Energy that all sessions together have used."""
        return sum(one.energy_j for one in self.sessions())

    def sessions(self) -> tuple[Session, ...]:
        """All sessions of this run, oldest first."""
        rows = self._rows("SELECT * FROM sessions ORDER BY id")
        try:
            return tuple(Session(**{**row, "goal": json.loads(row["goal"])}) for row in rows)
        except ValueError:
            raise sqlite.damaged(self.path, "a session's goal") from None

    def used_minutes(self) -> float:
        """Minutes that all sessions together have worked, this one up to now."""
        others = (one for one in self.sessions() if one.id != self._session)
        seconds = sum(one.heartbeat - one.started for one in others)
        if self._session is not None:
            seconds += time.monotonic() - self._session_began
        return seconds / 60

    def _rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        with sqlite.store_errors(self.path):
            return [dict(row) for row in self._connection.execute(query, values)]

    def _insert(self, table: str, unique: str, row: dict[str, Any]) -> bool:
        marks = ", ".join(f":{column}" for column in row)
        with sqlite.transaction(self._connection, self.path):
            cursor = self._connection.execute(
                f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks}) "
                f"ON CONFLICT ({unique}) DO NOTHING",
                row,
            )
            self._beat()
        return cursor.rowcount == 1

    def _beat(self) -> None:
        """`started` + monotonic time, so that setting the clock does not count as working."""
        self._connection.execute(
            "UPDATE sessions SET heartbeat = started + ? WHERE id = ?",
            (time.monotonic() - self._session_began, self._session),
        )

    def _trial(self, number: int) -> Trial:
        if number not in self._parsed:
            (row,) = self._rows("SELECT * FROM trials WHERE number = ?", number)
            try:
                parsed = {column: json.loads(row[column]) for column in _JSON_COLUMNS}
                self._parsed[number] = trial_from_json({**row, **parsed})
            except (ValueError, KeyError, TypeError, AttributeError, UserError):
                raise sqlite.damaged(self.path, f"trial {number}") from None
        return self._parsed[number]


def _identity(connection: sqlite3.Connection) -> RunIdentity:
    row = connection.execute("SELECT task, board, seed, board_sha256 FROM run").fetchone()
    return RunIdentity(**dict(row))


def check_same_run(
    where: Path, found: RunIdentity, wanted: RunIdentity, instead: str | None = None
) -> None:
    """Raises UserError if what was `found` in `where` is of another run than `wanted`.

    `instead` is what the user is told to do; None for someone who wants to go on with the run.
    """
    for name in ("task", "board", "seed"):
        there, here = getattr(found, name), getattr(wanted, name)
        if there != here:
            advice = instead or f"choose another run folder, or continue with {name} {there!r}"
            raise UserError(f"{where} is of a run of {name} {there!r}, not {here!r}: {advice}")
    if found.board_sha256 != wanted.board_sha256:
        there, here = (facts_in_words(wanted.board, one.board_sha256) for one in (found, wanted))
        advice = instead or (
            "choose another run folder, or go on with the same board file (the report names its "
            "commit) and the same --limits"
        )
        raise UserError(
            f"{where} is of a run with {there}, not {here}: its numbers would not compare; {advice}"
        )
