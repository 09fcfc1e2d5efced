"""The SQLite file of a store: schema, format check, single-writer lock, errors as UserError.

The file is in WAL mode, so that readers (`hil report` during a search) never block the writer.
`synchronous=FULL` costs one fsync per commit, milliseconds against the seconds of a trial; in
return a committed trial survives a power cut, not only a kill -9.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compress.errors import UserError
from hil.files import file_errors, no_space

APPLICATION_ID = 0x48494C43  # "HILC"
# 2: genomes of the whole space, costs by stage; 3: fidelities, estimates; 4: samples of finals
SCHEMA_VERSION = 4
BUSY_TIMEOUT_MS = 10_000
_INDEX_BYTES = 64 * 1024  # two steps of the WAL index, 32 KiB each (sqlite.org/walformat.html)

_TABLES = (
    """CREATE TABLE run (id INTEGER PRIMARY KEY CHECK (id = 1), task TEXT NOT NULL,
         board TEXT NOT NULL, seed INTEGER NOT NULL, board_sha256 TEXT NOT NULL,
         created REAL NOT NULL) STRICT""",
    """CREATE TABLE sessions (id INTEGER PRIMARY KEY, started REAL NOT NULL,
         heartbeat REAL NOT NULL, accuracy_target REAL NOT NULL, stopped_by TEXT,
         engine TEXT NOT NULL DEFAULT '', energy_j REAL NOT NULL DEFAULT 0,
         goal TEXT NOT NULL DEFAULT 'null', processes INTEGER NOT NULL DEFAULT 0) STRICT""",
    """CREATE TABLE trials (number INTEGER PRIMARY KEY, key TEXT NOT NULL, fidelity REAL NOT NULL,
         genome TEXT NOT NULL,
         state TEXT NOT NULL CHECK (state IN ('measured', 'screened', 'infeasible')),
         accuracy REAL, measurement TEXT NOT NULL, reason TEXT NOT NULL, violation REAL NOT NULL,
         epochs REAL NOT NULL, seconds TEXT NOT NULL, program_sha256 TEXT NOT NULL,
         provenance TEXT NOT NULL, costs TEXT NOT NULL, estimate TEXT NOT NULL,
         created REAL NOT NULL, UNIQUE (key, fidelity)) STRICT""",
    """CREATE TABLE finals (number INTEGER NOT NULL REFERENCES trials, split TEXT NOT NULL,
         correct INTEGER NOT NULL, total INTEGER NOT NULL, accuracy REAL NOT NULL,
         samples INTEGER, drop_error REAL, PRIMARY KEY (number, split)) STRICT""",
    "CREATE TABLE originals (split TEXT PRIMARY KEY, accuracy REAL NOT NULL) STRICT",
)
_OLDER = {  # the columns that migration from older versions needs
    "run": {"id", "task", "board", "seed", "board_sha256", "created"},
    "sessions": {"id", "started", "heartbeat", "accuracy_target", "stopped_by"},
    "trials": {
        *("number", "key", "genome", "state", "accuracy", "measurement", "reason", "violation"),
        *("epochs", "seconds", "program_sha256", "provenance", "created"),
    },
    "finals": {"number", "split", "correct", "total", "accuracy"},
}


def open_database(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """A connection in autocommit mode whose rows can be read by column name.

    A reader, too, opens the file for writing and sets `query_only`, since SQLite's own read-only
    mode leaves its -wal and -shm files behind. If the folder is not writable and there is no
    write-ahead log, nobody writes: the file is opened as immutable, which needs no other files.
    """
    folder_is_closed = not os.access(path.absolute().parent, os.W_OK)
    if read_only and folder_is_closed and not wal_path(path).exists():
        mode = "ro&immutable=1"
    else:
        mode = "rw" if read_only else "rwc"
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA query_only = {read_only:d}")
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:  # "unsupported file format"
            raise damaged(path) from error
        raise
    return connection


def wal_path(path: Path) -> Path:
    """The path of SQLite's write-ahead log; it exists while the file is open or after a kill."""
    return path.with_name(f"{path.name}-wal")


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    """Run the statements of this context as one transaction, on disk when the context ends.

    Within an outer transaction it is a part of that one. Raises UserError as `store_errors`.
    """
    if connection.in_transaction:
        yield
        return
    with store_errors(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def is_new(connection: sqlite3.Connection) -> bool:
    """True if the file is empty: just created, or left by a process killed before its commit."""
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return bool(objects == 0 and _pragma(connection, "application_id") == 0)


def create_tables(connection: sqlite3.Connection) -> None:
    """Create the tables of a store in an empty file; call it within a transaction."""
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def check_format(connection: sqlite3.Connection, path: Path) -> None:
    """Check that the file is a store of this or an older version, and whole.

    Raises UserError for a foreign, damaged or newer file.
    """
    if _pragma(connection, "application_id") != APPLICATION_ID:
        raise UserError(f"{path} is not a store of hil; choose another run folder")
    found = version(connection)
    if not 1 <= found <= SCHEMA_VERSION:
        raise UserError(
            f"{path} has schema version {found}, this version of hil reads 1 to {SCHEMA_VERSION}: "
            "use the version of hil that wrote it, or choose another run folder"
        )
    if not _is_sound(connection) or _is_cut(connection, path):
        raise damaged(path)
    if found == SCHEMA_VERSION:
        is_ours = _tables(connection) == set(_TABLES)
    else:
        is_ours = all(names <= _columns(connection, table) for table, names in _OLDER.items())
    if not is_ours:
        raise damaged(path, "tables of another version")


def version(connection: sqlite3.Connection) -> int:
    """The version of the file's schema."""
    return int(_pragma(connection, "user_version"))


@contextmanager
def writer_lock(folder: Path) -> Iterator[None]:
    """Hold the writer's lock of the folder. Raises UserError if another process holds it.

    It is a POSIX record lock: the kernel releases it when the process dies, and forked workers
    that outlive a killed search do not inherit it.
    """
    descriptor = os.open(folder / "store.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another search is running in {folder}: wait for it, stop it, "
                "or choose another run folder"
            ) from None
        yield
    finally:
        os.close(descriptor)


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and the file system into a UserError that says what to do."""
    try:
        with file_errors(path):
            yield
    except UnicodeDecodeError as error:  # of text in a damaged file, or of SQLite's words about it
        raise damaged(path) from error
    except sqlite3.DatabaseError as error:
        # Python's own error, which has no code, is about text of the file that is not UTF-8.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _no_room(path)):
            raise UserError(no_space(path)) from error
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise damaged(path) from error
        if code == sqlite3.SQLITE_CANTOPEN and wal_path(path).exists():
            raise UserError(
                f"{path} cannot be read in a folder that is not writable, because "
                f"{wal_path(path).name} has the last writes of a search that was killed or still "
                "runs; copy the folder and read the copy"
            ) from error
        if isinstance(error, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR:
            raise UserError(f"{path} cannot be read or written: {error}") from error
        raise


def damaged(path: Path, what: str = "") -> UserError:
    """The error for a file that is damaged or not a store."""
    return UserError(
        f"{path} is damaged{what and f' ({what})'} or not a store of hil; "
        "restore it from a copy, or choose another run folder"
    )


def _no_room(path: Path) -> bool:
    """True if the disk cannot hold the next part of the WAL index.

    SQLite reports that as an I/O error, not as a full disk.
    """
    return shutil.disk_usage(path.parent).free < _INDEX_BYTES


def _is_sound(connection: sqlite3.Connection) -> bool:
    """What SQLite's own check finds; its error in a statement is one in the file's own."""
    try:
        return bool(_pragma(connection, "quick_check(1)") == "ok")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        return False


def _is_cut(connection: sqlite3.Connection, path: Path) -> bool:
    """True if the last page is incomplete and no write-ahead log completes it.

    SQLite itself would read the missing bytes as zeros.
    """
    log = wal_path(path)
    if log.exists() and log.stat().st_size:
        return False
    return bool(path.stat().st_size % _pragma(connection, "page_size"))


def _tables(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table'")
    return {row["sql"] for row in rows}


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    """The names of the table's columns; empty if there is no such table."""
    return {row["name"] for row in connection.execute(f"PRAGMA table_info({table})")}


def _pragma(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]
