"""Migration of stores with an earlier schema, in one transaction or as a copy in memory.

Version 1 has genomes of the first search space. Version 2 adds the genes of today's space and costs
by stage. Version 3 adds fidelities, estimates, original accuracies, and for each session its
engine, goal and energy. Version 4 adds to final figures how many samples they are of.

A genome's key is a hash of all its genes, so keys are computed anew. A gene that a version did not
have gets the value by which that version behaves as it did: without `calibration`, a percentile
below 100 meant percentile calibration; without `rate`, every stage trained at the task's own rate.
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
    """Migrate the file in place, after saving a copy of it as `store.sqlite.v<N>`."""
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
    """A migrated, read-only copy in memory; the file stays as it is."""
    copy = sqlite3.connect(":memory:", isolation_level=None)
    copy.row_factory = sqlite3.Row
    connection.backup(copy)
    with sqlite.transaction(copy, path):
        _migrate(copy, path)
    copy.execute("PRAGMA query_only = 1")
    return copy


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Read all rows, recreate the tables, write all rows. The first of equal proposals stays."""
    version = sqlite.version(connection)
    order = ("run", "sessions", "trials", "finals", *(("originals",) if version >= 3 else ()))
    rows = {
        table: [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1")]
        for table in order
    }
    if version < 3:
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
    """The stage with the genes that were implicit in its version."""
    changed = dict(stage)
    if version == 1 and stage["stage"] == "quantize":
        if stage["percentile"] == 100.0:
            changed["percentile"] = Quantize.__dataclass_fields__["percentile"].default
        else:
            changed["calibration"] = "percentile"
    if stage.get("epochs"):
        changed.setdefault("rate", 1.0)
    return changed
