"""Reading a run in a folder that is not writable."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compress.errors import UserError
from helpers.stores import IDENTITY, files, make_store
from helpers.trials import BASELINE, measured
from hil import board
from hil.cli import main
from hil.energy import calibration
from hil.files import data_folder
from hil.report import report, time_profile
from hil.store.store import STORE_FILE, Store

FORK = multiprocessing.get_context("fork")
NOBODY = 65534
LOADED = (report, time_profile)  # now, as the other user may not read our Python


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that another user can reach, unlike pytest's own folders."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    yield place / "run"
    (place / "run").chmod(0o755)
    shutil.rmtree(place)


def read(folder: Path, told: Connection) -> None:
    if os.geteuid() == 0:  # root writes wherever it likes
        os.setuid(NOBODY)
    try:
        with Store.read(folder) as store:
            told.send(store.trials())
    except UserError as error:
        told.send(str(error))


def show(folder: Path, told: Connection) -> None:
    if os.geteuid() == 0:
        os.setuid(NOBODY)
    done = CliRunner().invoke(main.app, ["report", str(folder)])
    told.send(done.stdout or repr(done.exception))


def told_by_reader(folder: Path, reading: Callable[[Path, Connection], None] = read) -> object:
    """The result of `reading` for a user who may not write there."""
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    parent, child = FORK.Pipe(duplex=False)
    reader = FORK.Process(target=reading, args=(folder, child))
    reader.start()
    child.close()
    assert parent.poll(30)
    told: object = parent.recv()
    reader.join(timeout=30)
    return told


def test_a_finished_run_is_read_where_nothing_may_be_written(folder: Path) -> None:
    make_store(folder, measured(1, BASELINE))
    before = files(folder)
    assert told_by_reader(folder) == (measured(1, BASELINE),)
    assert files(folder) == before


def test_a_report_is_shown_where_it_may_not_be_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where the other user may read them, whoever owns the project's folder.
    boards = shutil.copytree(data_folder("boards"), folder.parent / "boards")
    monkeypatch.setattr(board, "data_folder", lambda name: boards)
    monkeypatch.setattr(calibration, "settings_folder", lambda: folder.parent)
    with Store.open(folder, IDENTITY) as store:
        store.begin_session(0.9)
        store.add(measured(1, BASELINE))
    before = files(folder)
    told = told_by_reader(folder, show)
    assert isinstance(told, str)
    assert "No network smaller than the int8 baseline" in told
    assert "report.html" not in told
    assert files(folder) == before


def test_the_log_of_a_killed_writer_is_not_passed_over(folder: Path) -> None:
    make_store(folder, measured(1, BASELINE))
    (folder / f"{STORE_FILE}-wal").write_bytes(b"what was written last")
    told = told_by_reader(folder)
    assert isinstance(told, str)
    assert f"{STORE_FILE}-wal" in told
    assert "copy the folder" in told
