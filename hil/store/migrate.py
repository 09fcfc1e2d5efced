"""Stores of earlier versions: their rows as this version has them, in one transaction or a copy.

1: genomes of the first space. 2: genomes of the whole space, costs by stage. 3: fidelities,
estimates; originals; what a session searched with and how much energy it used.

A genome's key is a hash of all its genes, so that keys are made anew. Genes that a version did not
have get what it did: before there was `calibration`, a percentile below 100 was one; before there
was `rate`, every stage trained at the task's own.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from compress.errors import UserError
from compress.genome import Genome, Quantize
from hil.store import sqlite

_Row = dict[str, Any]


def migrate_file(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the writer's file to this version; a copy of it, `store.sqlite.v<N>`, is kept first."""
    keep = path.with_name(f"{path.name}.v{sqlite.version(connection)}")
    part = keep.with_name(f"{keep.name}.part")
    with sqlite.store_errors(part):
        part.unlink(missing_ok=True)
        with closing(sqlite3.connect(part)) as copy:
            connection.backup(copy)
        part.replace(keep)
    with sqlite.transaction(connection, path):
        _migrate(connection, path)


def migrated_copy(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """A copy in memory, of this version; the reader's file stays as it is."""
    copy = sqlite3.connect(":memory:", isolation_level=None)
    copy.row_factory = sqlite3.Row
    connection.backup(copy)
    with sqlite.transaction(copy, path):
        _migrate(copy, path)
    copy.execute("PRAGMA query_only = 1")
    return copy


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Read all, make the tables anew, write all. The first of two equal proposals stays."""
    version = sqlite.version(connection)
    order = ("run", "sessions", "trials", "finals")
    rows = {
        table: [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1")]
        for table in order
    }
    rows["trials"] = [_trial(row, version, path) for row in rows["trials"]]
    for table in reversed(order):
        connection.execute(f"DROP TABLE {table}")
    sqlite.create_tables(connection)
    numbers: dict[tuple[str, float], int] = {}
    for trial in rows["trials"]:
        numbers.setdefault((trial["key"], trial["fidelity"]), trial["number"])
    kept = set(numbers.values())
    for table in order:
        for row in rows[table]:
            if table not in ("trials", "finals") or row["number"] in kept:
                marks = ", ".join(f":{column}" for column in row)
                connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", row)


def _trial(row: _Row, version: int, path: Path) -> _Row:
    try:
        if ("costs" in row) != (version >= 2) or "fidelity" in row:
            raise ValueError("columns of another version")
        stages = json.loads(row["genome"])
        genome = Genome.from_json([_stage(stage, version) for stage in stages])
    except (ValueError, KeyError, TypeError, AttributeError, UserError):
        raise sqlite.damaged(path, f"trial {row['number']}") from None
    return {
        "costs": "[]",
        **row,
        "key": genome.key,
        "genome": json.dumps(genome.to_json()),
        "fidelity": 1.0,
        "estimate": "null",
    }


def _stage(stage: _Row, version: int) -> _Row:
    """The stage with the genes that its version took for granted."""
    changed = dict(stage)
    if version == 1 and stage["stage"] == "quantize":
        if stage["percentile"] == 100.0:
            changed["percentile"] = Quantize.__dataclass_fields__["percentile"].default
        else:
            changed["calibration"] = "percentile"
    if stage.get("epochs"):
        changed.setdefault("rate", 1.0)
    return changed
