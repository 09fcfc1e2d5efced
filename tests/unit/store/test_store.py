"""The store keeps committed trials, refuses foreign files, and its errors say what to do."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings

from compress.errors import UserError
from compress.genome import Genome
from helpers.checkout import ROOT
from helpers.stores import IDENTITY, files, make_store
from helpers.trial_strategies import trials
from helpers.trials import BASELINE, infeasible, measured, pruned
from hil.store.sqlite import store_errors
from hil.store.store import STORE_FILE, Final, Store
from hil.store.trial_json import trial_from_json, trial_to_json
from hil.types import Trial

WRITER = """
import sys
from pathlib import Path
from helpers.trials import measured, pruned
from helpers.stores import IDENTITY
from hil.store.store import Store
with Store.open(Path(sys.argv[1]), IDENTITY) as store:
    print("open", flush=True)
    for number in range(store.next_number(), 100_000):
        store.add(measured(number, pruned(1 / number)))
        print(number, flush=True)
"""


def start_writer(folder: Path) -> subprocess.Popen[str]:
    paths = (ROOT, ROOT / "tests")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    command = [sys.executable, "-c", WRITER, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@settings(relaxed)
@given(trials)
def test_trial_survives_json(trial: Trial) -> None:
    assert trial_from_json(json.loads(json.dumps(trial_to_json(trial)))) == trial


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(trials)
def test_trial_survives_the_store(tmp_path_factory: pytest.TempPathFactory, trial: Trial) -> None:
    folder = tmp_path_factory.mktemp("run")
    make_store(folder, trial)
    with Store.read(folder) as store:
        assert store.trials() == (trial,)
        assert store.find(trial.genome, trial.fidelity, trial.repeat) == trial


def test_totals_are_shown_in_json_and_not_read_back() -> None:
    shown = trial_to_json(measured(1, BASELINE, flash=30_000))["measurement"]
    assert shown["flash_bytes"]["total"] == 30_000
    assert sum(shown["flash_bytes"].values()) == 60_000


def test_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first, second = measured(1, BASELINE), infeasible(2, pruned(0.5))
    make_store(tmp_path / "run", first)
    with Store.open(tmp_path / "run", IDENTITY) as store:
        assert store.next_number() == 2
        store.add(second)
        assert store.trials() == (first, second)
        assert store.find(pruned(0.25)) is None


def test_genome_is_kept_once(tmp_path: Path) -> None:
    first = measured(1, BASELINE, accuracy=0.9)
    with Store.open(tmp_path, IDENTITY) as store:
        assert store.add(first)
        assert not store.add(measured(2, BASELINE, accuracy=0.8))
        assert store.trials() == (first,)


def test_number_of_another_genome_is_our_bug(tmp_path: Path) -> None:
    with Store.open(tmp_path, IDENTITY) as store:
        store.add(measured(1, BASELINE))
        with pytest.raises(sqlite3.IntegrityError):
            store.add(measured(1, pruned(0.5)))
        assert store.add(measured(2, pruned(0.5)))


def test_number_that_is_no_json_is_refused(tmp_path: Path) -> None:
    with Store.open(tmp_path, IDENTITY) as store:
        with pytest.raises(ValueError, match="violation is inf"):
            store.add(infeasible(1, BASELINE, violation=float("inf")))
        with pytest.raises(ValueError, match="JSON compliant"):
            store.add(measured(1, BASELINE, seconds={"train": float("nan")}))
        assert store.trials() == ()


def test_finals_are_written_once(tmp_path: Path) -> None:
    final = Final(number=1, split="test", correct=190, total=200, accuracy=0.951)
    with Store.open(tmp_path, IDENTITY) as store:
        store.add(measured(1, BASELINE))
        assert store.add_final(final)
        assert not store.add_final(replace(final, correct=200))
        assert store.finals() == (final,)


def test_minutes_of_earlier_sessions_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("hil.store.store.time.monotonic", lambda: now)
    with Store.open(tmp_path, IDENTITY) as store:
        store.begin_session(0.9)
        now += 120
        store.add(measured(1, BASELINE))
        now += 60  # killed: nothing was written after the last trial
    now = 5.0
    with Store.open(tmp_path, IDENTITY) as store:
        assert store.used_minutes() == pytest.approx(2)
        store.begin_session(0.95)
        now += 30
        assert store.used_minutes() == pytest.approx(2.5)
        store.end_session("trials")
    with Store.read(tmp_path) as store:
        assert store.used_minutes() == pytest.approx(2.5)
        assert [(s.accuracy_target, s.stopped_by) for s in store.sessions()] == [
            (0.9, None),
            (0.95, "trials"),
        ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "kws"}, ["'digits'", "'kws'"]),
        ({"board": "m7"}, ["'m4'", "'m7'"]),
        ({"seed": 2}, ["seed 1", "2"]),
        (
            {"board_sha256": "00" * 32},
            ["5e5e5e5e5e5e", "000000000000", "boards/m4.toml", "--limits"],
        ),
    ],
)
def test_other_run_is_refused(tmp_path: Path, change: dict[str, object], words: list[str]) -> None:
    make_store(tmp_path, measured(1, BASELINE))
    before = files(tmp_path)
    with pytest.raises(UserError) as error:
        Store.open(tmp_path, replace(IDENTITY, **change))
    assert all(word in str(error.value) for word in [*words, "choose another run folder"])
    assert files(tmp_path) == before


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE photos (name)")


def newer(path: Path) -> None:
    make_store(path.parent)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA user_version = 99")


def torn(path: Path) -> None:
    make_store(path.parent, *(measured(n, pruned(1 / n)) for n in range(1, 40)))
    content = bytearray(path.read_bytes())
    content[8192:20480] = b"\x5a" * 12288
    path.write_bytes(content)


def meddled(path: Path) -> None:
    make_store(path.parent, measured(1, BASELINE))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute('UPDATE trials SET genome = \'[{"stage": "melt"}]\'')


def bytes_changed(old: bytes, new: bytes) -> Callable[[Path], object]:
    """A whole store in which some bytes of its text are others, as a failing disk leaves it."""

    def change(path: Path) -> None:
        make_store(path.parent, measured(1, BASELINE))
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new))

    return change


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_text("these are my notes\n" * 99), "damaged"),
        (bytes_changed(b"heartbeat REAL", b"heart\xffeat REAL"), "damaged"),
        (bytes_changed(b"state IN (", b"state$IN ("), "damaged"),
        (foreign, "not a store of hil"),
        (newer, "schema version 99"),
        (torn, "damaged"),
    ],
)
def test_spoilt_file_is_refused(tmp_path: Path, spoil: object, words: str) -> None:
    assert callable(spoil)
    spoil(tmp_path / STORE_FILE)
    (tmp_path / "store.lock").unlink(missing_ok=True)
    before = files(tmp_path)
    for opening in (lambda: Store.open(tmp_path, IDENTITY), lambda: Store.read(tmp_path)):
        with pytest.raises(UserError, match=words):
            opening()
    assert files(tmp_path) == before


def test_unreadable_trial_is_named(tmp_path: Path) -> None:
    meddled(tmp_path / STORE_FILE)
    with Store.read(tmp_path) as store, pytest.raises(UserError, match="trial 1"):
        store.trials()


def test_empty_file_of_a_killed_start_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / STORE_FILE).touch()
    make_store(tmp_path, measured(1, BASELINE))
    with Store.read(tmp_path) as store:
        assert store.identity == IDENTITY


def test_missing_run_names_the_others(tmp_path: Path) -> None:
    make_store(tmp_path / "digits-m4")
    with pytest.raises(UserError, match="digits-m4"):
        Store.read(tmp_path / "digits-m7")
    assert not (tmp_path / "digits-m7").exists()


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Not a directory"):
        Store.open(tmp_path / "file" / "run", IDENTITY)


def test_full_disk_keeps_what_was_committed(tmp_path: Path) -> None:
    with Store.open(tmp_path, IDENTITY) as store:
        store._connection.execute("PRAGMA max_page_count = 30")  # SQLite's own full disk
        with pytest.raises(UserError, match=r"no space left.*kept.*same command again"):
            deque(store.add(measured(number, pruned(1 / number))) for number in range(1, 10_000))
        kept = store.trials()
    assert kept == tuple(measured(n, pruned(1 / n)) for n in range(1, len(kept) + 1))
    with Store.open(tmp_path, IDENTITY) as store:
        assert store.trials() == kept
        assert len(kept) > 0
        assert store.add(measured(store.next_number(), pruned(1 / store.next_number())))


@pytest.mark.parametrize(
    ("free_bytes", "words"),
    [(4096, r"no space left.*kept.*same command again"), (2**30, "cannot be read or written")],
)
def test_a_failed_write_is_a_full_disk_where_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_bytes: int, words: str
) -> None:
    """SQLite reports a full disk as "disk I/O error" if the WAL index does not fit."""
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=free_bytes))
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
    with pytest.raises(UserError, match=words), store_errors(tmp_path / STORE_FILE):
        raise error


def test_second_search_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    writer = start_writer(tmp_path)
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        with pytest.raises(UserError, match="another search is running"):
            Store.open(tmp_path, IDENTITY)
    finally:
        writer.kill()
        writer.communicate(timeout=30)
    with Store.open(tmp_path, IDENTITY) as store:
        assert store.identity == IDENTITY


def test_genome_without_stages_has_a_place(tmp_path: Path) -> None:
    make_store(tmp_path, measured(1, Genome(())))
    with Store.read(tmp_path) as store:
        assert store.find(Genome(())) == measured(1, Genome(()))
