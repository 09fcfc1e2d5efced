"""Stores that were killed, read during a write, cut or damaged never give a wrong answer.

A byte that is flipped within a row's text is another matter: SQLite keeps no checksums of pages.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from compress.errors import UserError
from helpers.stores import IDENTITY, make_store
from helpers.trials import measured, pruned
from hil.store.store import STORE_FILE, Store
from hil.types import Trial

FORK = multiprocessing.get_context("fork")  # a fresh interpreter for every kill would take minutes


def trial(number: int) -> Trial:
    return measured(number, pruned(1 / number), count=number)


def write_for_ever(folder: Path, committed: Connection) -> None:
    with Store.open(folder, IDENTITY) as store:
        for number in range(store.next_number(), 1_000_000):
            store.add(trial(number))
            committed.send(number)


def received(committed: Connection) -> int:
    """The last committed number, 0 if there is none."""
    last = 0
    try:
        while committed.poll():
            last = committed.recv()
    except (EOFError, OSError):
        pass  # the writer died, perhaps within a message
    return last


def test_kill_9_at_random_moments(tmp_path: Path) -> None:
    chance = random.Random(5)
    known = 0
    for round in range(30):
        parent, child = FORK.Pipe(duplex=False)
        writer = FORK.Process(target=write_for_ever, args=(tmp_path, child))
        writer.start()
        child.close()
        if round % 3:  # else killed at any moment, the creation of the store included
            parent.poll(30)  # until its first trial
        time.sleep(chance.uniform(0.0, 0.06))
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join(timeout=30)
        assert writer.exitcode == -signal.SIGKILL
        known = max(known, received(parent))
        parent.close()
        with Store.open(tmp_path, IDENTITY) as store:
            stored = store.trials()
            assert store.next_number() == len(stored) + 1
        assert len(stored) >= known
        assert stored == tuple(trial(number) for number in range(1, len(stored) + 1))
        known = len(stored)
    assert known >= 20  # of each writer that was let to commit at least one


def read_until(folder: Path, last: int, result: Connection) -> None:
    seen, looks = 0, 0
    while seen < last:
        with Store.read(folder) as store:
            for _ in range(5):
                count, stored = store.count(), store.trials()
                if not seen <= count <= len(stored):
                    result.send(f"{seen} trials, then {count}, then {len(stored)}")
                    return
                if stored != tuple(trial(number) for number in range(1, len(stored) + 1)):
                    result.send(f"not what was written: {stored[-1]}")
                    return
                seen, looks = len(stored), looks + 1
    result.send(looks)


def test_two_processes_read_while_one_writes(tmp_path: Path) -> None:
    last = 120
    make_store(tmp_path)
    readers = []
    for _ in range(2):
        parent, child = FORK.Pipe(duplex=False)
        process = FORK.Process(target=read_until, args=(tmp_path, last, child), daemon=True)
        process.start()
        child.close()
        readers.append((process, parent))
    with Store.open(tmp_path, IDENTITY) as store:
        for number in range(1, last + 1):
            store.add(trial(number))
            time.sleep(0.005)
    for process, parent in readers:
        assert parent.poll(60)
        looks = parent.recv()
        process.join(timeout=30)
        assert process.exitcode == 0
        assert isinstance(looks, int), looks
        assert looks > 1


def spoiled(folder: Path, content: bytes) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / STORE_FILE).write_bytes(content)


def refused_or_whole(folder: Path, stored: tuple[Trial, ...]) -> bool:
    """True if the store is refused by name; otherwise check that it has every trial."""
    refused = []
    for opening in (lambda: Store.read(folder), lambda: Store.open(folder, IDENTITY)):
        message = ""
        try:
            with opening() as store:
                assert store.trials() == stored
        except UserError as error:
            message = str(error)
        assert message == "" or STORE_FILE in message
        refused.append(message != "")
    return any(refused)


def test_flipped_bytes_of_the_header(tmp_path: Path) -> None:
    stored = tuple(trial(number) for number in range(1, 6))
    make_store(tmp_path / "good", *stored)
    good = (tmp_path / "good" / STORE_FILE).read_bytes()
    refused = set()
    for position in range(100):
        for mask in (0x01, 0xFF):
            content = bytearray(good)
            content[position] ^= mask
            spoiled(tmp_path / "bad", bytes(content))
            if refused_or_whole(tmp_path / "bad", stored):
                refused.add((position, mask))
    # The magic, the page size, the application's id, and the last byte of the schema's version.
    always = {*range(18), *range(68, 72), 63}
    assert {(position, 0xFF) for position in always} <= refused


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.9, 0.999])
def test_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    make_store(tmp_path / "good", *(trial(number) for number in range(1, 40)))
    good = (tmp_path / "good" / STORE_FILE).read_bytes()
    spoiled(tmp_path / "bad", good[: int(share * len(good))])
    for opening in (
        lambda: Store.read(tmp_path / "bad"),
        lambda: Store.open(tmp_path / "bad", IDENTITY),
    ):
        with pytest.raises(UserError, match=STORE_FILE):
            opening()


def test_random_bytes_are_refused(tmp_path: Path) -> None:
    spoiled(tmp_path / "bad", random.Random(3).randbytes(20_000))
    with pytest.raises(UserError, match=STORE_FILE):
        Store.read(tmp_path / "bad")
    with pytest.raises(UserError, match=STORE_FILE):
        Store.open(tmp_path / "bad", IDENTITY)


def test_version_of_another_schema_is_refused(tmp_path: Path) -> None:
    for version in (0, 1, 2):
        folder = tmp_path / str(version)
        make_store(folder, trial(1))
        with closing(sqlite3.connect(folder / STORE_FILE)) as file, file:
            file.execute(f"PRAGMA user_version = {version}")
        for opening in (
            lambda at=folder: Store.read(at),
            lambda at=folder: Store.open(at, IDENTITY),
        ):
            with pytest.raises(UserError, match=STORE_FILE):
                opening()


def test_a_store_that_is_just_being_created_is_no_run_yet(tmp_path: Path) -> None:
    """A reader between the creation of the file and the commit of its tables."""
    sqlite3.connect(tmp_path / "store.sqlite").execute("PRAGMA journal_mode = WAL")
    with pytest.raises(UserError, match=r"no run in .* yet"):
        Store.read(tmp_path)
