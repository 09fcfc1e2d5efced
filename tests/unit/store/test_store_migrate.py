"""Migration of stores of older versions, created with the SQL of those versions."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest

from compress.errors import UserError
from compress.genome import Distill, Genome, Prune, Quantize
from compress.types import StageCost
from helpers.stores import IDENTITY, files
from helpers.trials import BASELINE, PROVENANCE, measured
from hil.store.store import STORE_FILE, Final, Store
from hil.store.trial_json import measurement_to_json
from hil.types import Trial

COMMON = """
CREATE TABLE run (id INTEGER PRIMARY KEY CHECK (id = 1), task TEXT NOT NULL,
  board TEXT NOT NULL, seed INTEGER NOT NULL, board_sha256 TEXT NOT NULL,
  created REAL NOT NULL) STRICT;
CREATE TABLE sessions (id INTEGER PRIMARY KEY, started REAL NOT NULL,
  heartbeat REAL NOT NULL, accuracy_target REAL NOT NULL, stopped_by TEXT) STRICT;
CREATE TABLE trials (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE,
  genome TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('measured', 'infeasible')),
  accuracy REAL, measurement TEXT NOT NULL, reason TEXT NOT NULL, violation REAL NOT NULL,
  epochs INTEGER NOT NULL, seconds TEXT NOT NULL, program_sha256 TEXT NOT NULL,
  provenance TEXT NOT NULL, {costs} created REAL NOT NULL) STRICT;
CREATE TABLE finals (number INTEGER NOT NULL REFERENCES trials, split TEXT NOT NULL,
  correct INTEGER NOT NULL, total INTEGER NOT NULL, accuracy REAL NOT NULL,
  PRIMARY KEY (number, split)) STRICT;
INSERT INTO run VALUES (1, 'digits', 'm4', 1, '{sha}', 5.0);
INSERT INTO sessions VALUES (1, 100.0, 160.0, 0.9, 'trials');
PRAGMA application_id = 1212763203;
PRAGMA user_version = {version};
PRAGMA journal_mode = WAL;
"""
PRUNE_1 = {"stage": "prune", "keep": [0.5, 0.75], "criterion": "l1", "epochs": 2}
GENOMES_1 = (
    [{"stage": "quantize", "percentile": 100.0}],
    [PRUNE_1, {"stage": "quantize", "percentile": 99.9}],
)
# Two of version 2: before and after stages had a learning rate of their own.
GENOMES_2 = (
    [{"stage": "quantize", "weight_bits": [4], "epochs": 3}],
    [{"stage": "distill", "width": 0.5, "epochs": 2, "rate": 0.25}],
)


def old_store(folder: Path, version: int) -> None:
    folder.mkdir(exist_ok=True)
    costs = "" if version == 1 else "costs TEXT NOT NULL,"
    with closing(sqlite3.connect(folder / STORE_FILE)) as file, file:
        file.executescript(COMMON.format(costs=costs, version=version, sha=IDENTITY.board_sha256))
        for number, genome in enumerate(GENOMES_1 if version == 1 else GENOMES_2, start=1):
            measurement = measured(number, BASELINE).measurement
            assert measurement is not None
            fields = measurement_to_json(measurement)
            if version == 1:
                del fields["model_cycles"], fields["model_error"]
            row = {
                "number": number,
                "key": f"of its time {number}",
                "genome": json.dumps(genome),
                "state": "measured",
                "accuracy": 0.95,
                "measurement": json.dumps(fields),
                "reason": "",
                "violation": 0.0,
                "epochs": 2,
                "seconds": '{"train": 1.5, "build": 0.25}',
                "program_sha256": "cd" * 32,
                "provenance": json.dumps(asdict(PROVENANCE)),
                "created": 150.0,
            }
            if version == 2:
                row["costs"] = '[{"stage": "x", "epochs": 2, "seconds": 1.5, "cached": true}]'
            marks = ", ".join(f":{name}" for name in row)
            file.execute(f"INSERT INTO trials ({', '.join(row)}) VALUES ({marks})", row)
        file.execute("INSERT INTO finals VALUES (2, 'test', 190, 200, 0.951)")


EXPECTED = {
    1: (
        measured(1, BASELINE),
        measured(
            2,
            Genome(
                (
                    Prune((0.5, 0.75), "l1", epochs=2),
                    Quantize(calibration="percentile", percentile=99.9),
                )
            ),
        ),
    ),
    2: (
        measured(
            1,
            Genome((Quantize(weight_bits=(4,), epochs=3, rate=1.0),)),
            costs=(StageCost("x", 2, 1.5, cached=True),),
        ),
        measured(
            2,
            Genome((Distill(width=0.5, epochs=2, rate=0.25),)),
            costs=(StageCost("x", 2, 1.5, cached=True),),
        ),
    ),
}


def check(store: Store, version: int) -> None:
    assert store.trials() == EXPECTED[version]
    for trial in EXPECTED[version]:
        assert store.find(trial.genome) == trial
    assert store.finals() == (Final(2, "test", 190, 200, 0.951),)
    assert store.used_minutes() == pytest.approx(1)
    assert [(one.engine, one.energy_j) for one in store.sessions()] == [("", 0.0)]
    assert store.original_accuracies() == {}


@pytest.mark.parametrize("version", [1, 2])
def test_writer_migrates_and_keeps_a_copy(tmp_path: Path, version: int) -> None:
    old_store(tmp_path, version)
    with Store.open(tmp_path, IDENTITY) as store:
        check(store, version)
        assert store.add(measured(3, Genome(()), fidelity=0.5))
    with Store.open(tmp_path, IDENTITY) as store:
        assert store.trials()[:2] == EXPECTED[version]
        assert store.next_number() == 4
    kept = tmp_path / f"{STORE_FILE}.v{version}"
    (tmp_path / "kept").mkdir()
    kept.rename(tmp_path / "kept" / STORE_FILE)
    with closing(sqlite3.connect(tmp_path / "kept" / STORE_FILE)) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (version,)
        assert file.execute("SELECT count(*) FROM trials").fetchone() == (2,)


@pytest.mark.parametrize("version", [1, 2])
def test_reader_leaves_an_older_store_alone(tmp_path: Path, version: int) -> None:
    old_store(tmp_path, version)
    before = files(tmp_path)
    with Store.read(tmp_path) as store:
        check(store, version)
    assert files(tmp_path) == before


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    "change",
    ["DROP TABLE finals", "DROP TABLE run", "ALTER TABLE sessions RENAME COLUMN stopped_by TO s"],
)
def test_file_without_the_tables_of_its_version_is_refused(
    tmp_path: Path, version: int, change: str
) -> None:
    old_store(tmp_path, version)
    with closing(sqlite3.connect(tmp_path / STORE_FILE)) as file, file:
        file.execute(change)
    for opening in (lambda: Store.open(tmp_path, IDENTITY), lambda: Store.read(tmp_path)):
        with pytest.raises(UserError, match="tables of another version"):
            opening()


@pytest.mark.parametrize("version", [1, 2])
def test_empty_file_that_claims_to_be_old_is_refused(tmp_path: Path, version: int) -> None:
    with closing(sqlite3.connect(tmp_path / STORE_FILE)) as file, file:
        file.executescript(
            f"PRAGMA application_id = 1212763203; PRAGMA user_version = {version}; VACUUM;"
        )
    for opening in (lambda: Store.open(tmp_path, IDENTITY), lambda: Store.read(tmp_path)):
        with pytest.raises(UserError, match="tables of another version"):
            opening()


@pytest.mark.parametrize("version", [1, 2])
def test_trial_that_cannot_be_migrated_stops_it(tmp_path: Path, version: int) -> None:
    old_store(tmp_path, version)
    with closing(sqlite3.connect(tmp_path / STORE_FILE)) as file, file:
        file.execute('UPDATE trials SET genome = \'[{"stage": "melt"}]\' WHERE number = 2')
    for opening in (lambda: Store.open(tmp_path, IDENTITY), lambda: Store.read(tmp_path)):
        with pytest.raises(UserError, match="trial 2"):
            opening()
    with closing(sqlite3.connect(tmp_path / STORE_FILE)) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (version,)
        assert file.execute("SELECT count(*) FROM trials").fetchone() == (2,)


VERSION_3 = """
CREATE TABLE run (id INTEGER PRIMARY KEY CHECK (id = 1), task TEXT NOT NULL,
  board TEXT NOT NULL, seed INTEGER NOT NULL, board_sha256 TEXT NOT NULL,
  created REAL NOT NULL) STRICT;
CREATE TABLE sessions (id INTEGER PRIMARY KEY, started REAL NOT NULL,
  heartbeat REAL NOT NULL, accuracy_target REAL NOT NULL, stopped_by TEXT,
  engine TEXT NOT NULL DEFAULT '', energy_j REAL NOT NULL DEFAULT 0,
  goal TEXT NOT NULL DEFAULT 'null', processes INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE trials (number INTEGER PRIMARY KEY, key TEXT NOT NULL, fidelity REAL NOT NULL,
  genome TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('measured', 'screened', 'infeasible')),
  accuracy REAL, measurement TEXT NOT NULL, reason TEXT NOT NULL, violation REAL NOT NULL,
  epochs REAL NOT NULL, seconds TEXT NOT NULL, program_sha256 TEXT NOT NULL,
  provenance TEXT NOT NULL, costs TEXT NOT NULL, estimate TEXT NOT NULL,
  created REAL NOT NULL, UNIQUE (key, fidelity)) STRICT;
CREATE TABLE finals (number INTEGER NOT NULL REFERENCES trials, split TEXT NOT NULL,
  correct INTEGER NOT NULL, total INTEGER NOT NULL, accuracy REAL NOT NULL,
  PRIMARY KEY (number, split)) STRICT;
CREATE TABLE originals (split TEXT PRIMARY KEY, accuracy REAL NOT NULL) STRICT;
INSERT INTO run VALUES (1, 'digits', 'm4', 1, '{sha}', 5.0);
INSERT INTO sessions VALUES (1, 100.0, 160.0, 0.9, 'trials', 'adaptive', 2.5, 'null', 2);
INSERT INTO finals VALUES (2, 'test', 190, 200, 0.951);
INSERT INTO originals VALUES ('val', 0.97), ('test', 0.96);
PRAGMA application_id = 1212763203;
PRAGMA user_version = 3;
"""


def store_of_version_3(folder: Path) -> tuple[Trial, ...]:
    """A store of version 3 with two trials, the second at two fidelities."""
    genome = Genome((Distill(width=0.5), Quantize()))
    trials = (
        measured(1, BASELINE),
        measured(2, genome),
        measured(3, genome, fidelity=0.25, state="screened", measurement=None),
    )
    with Store.open(folder / "new", IDENTITY) as store:
        for trial in trials:
            store.add(trial)
    with closing(sqlite3.connect(folder / "new" / STORE_FILE)) as file:
        rows = file.execute("SELECT * FROM trials").fetchall()
    with closing(sqlite3.connect(folder / STORE_FILE)) as file, file:
        tables, _, content = VERSION_3.partition("INSERT INTO run")
        file.executescript(tables)
        file.executemany(f"INSERT INTO trials VALUES ({', '.join('?' * len(rows[0]))})", rows)
        file.executescript("INSERT INTO run" + content.format(sha=IDENTITY.board_sha256))
    return trials


def test_version_3_keeps_everything_and_gets_precision(tmp_path: Path) -> None:
    trials = store_of_version_3(tmp_path)
    precise = Final(1, "test", 195, 200, 0.97, 10_000, 0.002)
    with Store.read(tmp_path) as store:
        assert store.trials() == trials
        assert store.finals() == (Final(2, "test", 190, 200, 0.951),)
    with Store.open(tmp_path, IDENTITY) as store:
        assert store.trials() == trials
        assert store.find(trials[1].genome) == trials[1]
        assert store.original_accuracies() == {"val": 0.97, "test": 0.96}
        assert [(one.engine, one.energy_j) for one in store.sessions()] == [("adaptive", 2.5)]
        assert store.add_final(precise)
        assert store.finals() == (precise, Final(2, "test", 190, 200, 0.951))
    assert (tmp_path / f"{STORE_FILE}.v3").is_file()


def test_same_proposal_under_two_old_names_is_kept_once(tmp_path: Path) -> None:
    old_store(tmp_path, 2)
    with closing(sqlite3.connect(tmp_path / STORE_FILE)) as file, file:
        same = json.dumps([{**GENOMES_2[0][0], "rate": 1.0}])
        file.execute("UPDATE trials SET genome = ? WHERE number = 2", (same,))
    with Store.open(tmp_path, IDENTITY) as store:
        assert store.trials() == EXPECTED[2][:1]
        assert store.finals() == ()
