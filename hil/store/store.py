"""The store of a run: one SQLite file with its trials, sessions and final figures.

Every trial is committed when it ends, and a genome that is in the store is never run again: a run
is resumed by opening its folder. Times (`started`, `heartbeat`) are seconds since 1970. Schema,
locking and error handling are in `hil.store.sqlite`.
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
from compress.scratch import PART, sweep
from hil.board import facts_in_words
from hil.store import migrate, sqlite
from hil.store.trial_json import trial_from_json, trial_to_json
from hil.types import Trial

STORE_FILE = "store.sqlite"
_REPEAT = "/"  # between a genome's key and the number of the repeat in the column `key`
_JSON_COLUMNS = ("genome", "measurement", "seconds", "provenance", "costs", "estimate")


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """The identity of a run: task, board (name and hash of its facts) and seed.

    Trials are comparable only if these are equal.
    """

    task: str
    board: str
    seed: int
    board_sha256: str


@dataclass(frozen=True, slots=True)
class Session:
    """One search process that worked on the run.

    `stopped_by` is the reason it ended, None if it was killed or still runs. `engine` is the
    engine's name, "" if unknown. `energy_j` is the energy it used, in joules. `goal` is the goal
    as JSON (`hil.objective.goal.Goal.to_json`), None if only the accuracy is known. `processes` is
    the number of worker processes, 0 if unknown.
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
    """The final figures of a trial on a split that no decision of the search used.

    The device got `correct` of `total` samples right; `accuracy` is the host's on the whole split,
    the task's metric as a share where more is better (0..1 for the accuracy of classes). It has
    `samples`, None if an older version did not say. `drop_error` is the standard error of its
    difference to the float network's, paired by sample; None where it is not known.
    """

    number: int
    split: str
    correct: int
    total: int
    accuracy: float
    samples: int | None = None
    drop_error: float | None = None


class Store:
    """An open store, as a context manager; a folder has one writer and any number of readers."""

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
        """Open the run in `folder` for writing, or create it; an older store is migrated.

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
            sweep(folder, f"*{PART}", f"*/*{PART}")  # of a search that was killed
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
        """Open an existing run for reading. Raises UserError if there is none.

        An older store is not changed: a migrated copy of its present state is read.
        """
        check_is_run(folder)
        path = folder / STORE_FILE
        with ExitStack() as resources, sqlite.store_errors(path):
            connection = sqlite.open_database(path, read_only=True)
            resources.callback(connection.close)
            if sqlite.is_new(connection):
                raise UserError(f"no run in {folder} yet: it is just being created")
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
        """Close the file and release the writer's lock."""
        self._resources.close()

    @property
    def identity(self) -> RunIdentity:
        """The task, board and seed of this run."""
        with sqlite.store_errors(self.path):
            return _identity(self._connection)

    def add(self, trial: Trial) -> bool:
        """Commit a finished trial; return False, without a change, if its proposal is stored.

        Raises UserError if the disk is full, ValueError for a number that is not finite,
        sqlite3.IntegrityError if the trial's number belongs to another genome.
        """
        if not math.isfinite(trial.violation):
            raise ValueError(f"trial {trial.number}: violation is {trial.violation}")
        row = trial_to_json(trial)
        for not_stored in ("order", "repeat"):
            del row[not_stored]
        row["key"] = _key(trial.genome, trial.repeat)
        for column in _JSON_COLUMNS:
            row[column] = json.dumps(row[column], allow_nan=False)
        return self._insert("trials", "key, fidelity", {**row, "created": time.time()})

    def find(self, genome: Genome, fidelity: float = 1.0, repeat: int = 0) -> Trial | None:
        """The trial of this genome at this fidelity and repeat; None if it was never run."""
        query = "SELECT number FROM trials WHERE key = ? AND fidelity = ?"
        rows = self._rows(query, _key(genome, repeat), fidelity)
        return self._trial(rows[0]["number"]) if rows else None

    def trials(self, fidelity: float | None = None) -> tuple[Trial, ...]:
        """All trials, or those of one fidelity, ordered by number."""
        query = "SELECT number FROM trials WHERE ?1 IS NULL OR fidelity = ?1 ORDER BY number"
        return tuple(self._trial(row["number"]) for row in self._rows(query, fidelity))

    def count(self) -> int:
        """The number of trials in full (fidelity 1); screened ones are not counted."""
        query = "SELECT count(*) AS trials FROM trials WHERE fidelity = 1"
        return int(self._rows(query)[0]["trials"])

    def count_screened(self) -> int:
        """The number of trials at a fidelity below 1."""
        query = "SELECT count(*) AS trials FROM trials WHERE fidelity < 1"
        return int(self._rows(query)[0]["trials"])

    def next_number(self) -> int:
        """One more than the highest trial number; 1 in an empty store."""
        return int(self._rows("SELECT coalesce(max(number), 0) + 1 AS n FROM trials")[0]["n"])

    def add_final(self, final: Final) -> bool:
        """Commit final figures; return False, without a change, if the trial already has them."""
        return self._insert("finals", "number, split", asdict(final))

    def finals(self) -> tuple[Final, ...]:
        """All final figures, ordered by trial number and split."""
        rows = self._rows("SELECT * FROM finals ORDER BY number, split")
        return tuple(Final(**row) for row in rows)

    def set_original_accuracy(self, split: str, accuracy: float) -> bool:
        """Store the original network's accuracy (a share) on a split.

        Returns False, without a change, if the split already has one.
        """
        return self._insert("originals", "split", {"split": split, "accuracy": accuracy})

    def original_accuracies(self) -> dict[str, float]:
        """The original network's accuracy (a share) by split, for the splits that have one."""
        rows = self._rows("SELECT * FROM originals ORDER BY split")
        return {row["split"]: row["accuracy"] for row in rows}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all that is added in this context together at its end, or nothing of it."""
        with sqlite.transaction(self._connection, self.path):
            yield

    def begin_session(
        self,
        accuracy_target: float,
        engine: str = "",
        goal: Mapping[str, Any] | None = None,
        processes: int = 0,
    ) -> None:
        """Begin a session of this process: from now on its time counts as used.

        The report shows the goal of the last session. The arguments are fields of `Session`.
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

    def name_engine(self, engine: str) -> None:
        """Set the name of this session's engine, once it is chosen."""
        with sqlite.transaction(self._connection, self.path):
            self._connection.execute(
                "UPDATE sessions SET engine = ? WHERE id = ?", (engine, self._session)
            )

    def settle_goal(self, accuracy_target: float, goal: Mapping[str, Any]) -> None:
        """Replace this session's goal, whose floor follows from the float network."""
        with sqlite.transaction(self._connection, self.path):
            self._connection.execute(
                "UPDATE sessions SET accuracy_target = ?, goal = ? WHERE id = ?",
                (accuracy_target, json.dumps(goal), self._session),
            )

    def add_goal(self, accuracy_target: float, goal: Mapping[str, Any] | None) -> None:
        """Add the goal of another run for the report, as a session that took no time."""
        now = time.time()
        with sqlite.transaction(self._connection, self.path):
            self._connection.execute(
                "INSERT INTO sessions (started, heartbeat, accuracy_target, stopped_by, goal) "
                "VALUES (?, ?, ?, 'merged', ?)",
                (now, now, accuracy_target, json.dumps(goal)),
            )

    def end_session(self, stopped_by: str) -> None:
        """Store the reason why this session ended, a word that the report explains."""
        with sqlite.transaction(self._connection, self.path):
            self._update_heartbeat()
            self._connection.execute(
                "UPDATE sessions SET stopped_by = ? WHERE id = ?", (stopped_by, self._session)
            )

    def add_energy(self, joules: float) -> None:
        """Add to the energy that this session used. Raises ValueError if no session was begun."""
        if self._session is None:
            raise ValueError("no session to add energy to: call begin_session first")
        with sqlite.transaction(self._connection, self.path):
            self._connection.execute(
                "UPDATE sessions SET energy_j = energy_j + ? WHERE id = ?",
                (joules, self._session),
            )
            self._update_heartbeat()

    def used_joules(self) -> float:
        """The energy that all sessions used, in joules."""
        return sum(one.energy_j for one in self.sessions())

    def sessions(self) -> tuple[Session, ...]:
        """All sessions of this run, oldest first."""
        rows = self._rows("SELECT * FROM sessions ORDER BY id")
        try:
            return tuple(Session(**{**row, "goal": json.loads(row["goal"])}) for row in rows)
        except ValueError:
            raise sqlite.damaged(self.path, "a session's goal") from None

    def used_minutes(self) -> float:
        """The time that all sessions worked, in minutes, including this one up to now."""
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
            self._update_heartbeat()
        return cursor.rowcount == 1

    def _update_heartbeat(self) -> None:
        """Set the heartbeat to `started` plus monotonic time.

        So a clock that is set during the session does not count as time worked.
        """
        self._connection.execute(
            "UPDATE sessions SET heartbeat = started + ? WHERE id = ?",
            (time.monotonic() - self._session_began, self._session),
        )

    def _trial(self, number: int) -> Trial:
        if number not in self._parsed:
            (row,) = self._rows("SELECT * FROM trials WHERE number = ?", number)
            try:
                parsed = {column: json.loads(row[column]) for column in _JSON_COLUMNS}
                repeat = int(row["key"].partition(_REPEAT)[2] or 0)
                self._parsed[number] = trial_from_json({**row, **parsed, "repeat": repeat})
            except (ValueError, KeyError, TypeError, AttributeError, UserError):
                raise sqlite.damaged(self.path, f"trial {number}") from None
        return self._parsed[number]


def _key(genome: Genome, repeat: int) -> str:
    """The column `key`: a genome's key, with the number of a repeat that is not the first."""
    return f"{genome.key}{_REPEAT}{repeat}" if repeat else genome.key


def _identity(connection: sqlite3.Connection) -> RunIdentity:
    row = connection.execute("SELECT task, board, seed, board_sha256 FROM run").fetchone()
    return RunIdentity(**dict(row))


def check_is_run(folder: Path) -> None:
    """Raise UserError, which names the runs beside it, if there is no run in `folder`."""
    if (folder / STORE_FILE).is_file():
        return
    runs = sorted(found.parent.name for found in folder.parent.glob(f"*/{STORE_FILE}"))
    there = f"runs in {folder.parent}: {', '.join(runs)}" if runs else "start one with hil evolve"
    raise UserError(f"no run in {folder} ({there})")


def check_same_run(
    where: Path, found: RunIdentity, wanted: RunIdentity, instead: str | None = None
) -> None:
    """Check that `where`, of identity `found`, belongs to the run `wanted`. Raises UserError.

    The error ends with the advice `instead`, or with how to continue the run if that is None.
    """
    for name in ("task", "board", "seed"):
        there, here = getattr(found, name), getattr(wanted, name)
        if there != here:
            advice = instead or f"choose another run folder, or continue with {name} {there!r}"
            raise UserError(f"{where} is from a run of {name} {there!r}, not {here!r}: {advice}")
    if found.board_sha256 != wanted.board_sha256:
        there, here = (facts_in_words(wanted.board, one.board_sha256) for one in (found, wanted))
        advice = instead or (
            "choose another run folder, or continue with the same board file (the report names its "
            "commit) and the same --limits"
        )
        raise UserError(
            f"{where} is from a run with {there}, not {here}: the numbers are not comparable; "
            f"{advice}"
        )
