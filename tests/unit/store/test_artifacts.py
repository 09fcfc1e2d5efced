"""Failed writes: the former file stays whole, no partial file is left, the user gets an error."""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from compress.errors import UserError
from helpers.reports import make
from hil.board import load_board
from hil.energy.calibration import save_calibration
from hil.files import write_file
from hil.report.report import write_report
from hil.store.run_folder import network_path, save_network
from hil.store.table_file import write_table

FORK = multiprocessing.get_context("fork")


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """Limit the size of written files; the kernel refuses more, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write_a_table(path: Path, size: int) -> None:
    write_table(path, ("name",), [{"name": "x" * size}])


def write_a_blob(path: Path, size: int) -> None:
    write_file(path, b"x" * size)


def calibrate_a_board(path: Path, size: int) -> None:
    save_calibration(
        load_board("nucleo-f446re"), 161.0, 3.3, idle_mw=None, how="x" * size, folder=path.parent
    )


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (write_a_blob, "network.tflite"),
        (write_a_table, "run.csv"),
        (calibrate_a_board, "calibration.toml"),
    ],
)
def test_a_file_that_does_not_fit_leaves_the_former_and_no_part(
    tmp_path: Path, write: Callable[[Path, int], None], name: str
) -> None:
    write(tmp_path / name, 10)
    before = (tmp_path / name).read_bytes()
    with files_of_at_most(1000), pytest.raises(UserError, match=rf"{name}.*too large"):
        write(tmp_path / name, 5000)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == before


def test_what_lies_in_the_way_is_told_and_no_part_is_left(tmp_path: Path) -> None:
    (tmp_path / "run.csv").mkdir()
    for write in (write_a_blob, write_a_table):
        with pytest.raises(UserError, match=r"run\.csv"):
            write(tmp_path / "run.csv", 10)
    assert [path.name for path in tmp_path.iterdir()] == ["run.csv"]


def test_a_report_that_does_not_fit_leaves_the_former(tmp_path: Path) -> None:
    summary = make(tmp_path / "run")
    folder = tmp_path / "report"
    folder.mkdir()
    write_report(summary, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(before) == {"report.html", "pareto.png"}
    with files_of_at_most(1000), pytest.raises(UserError, match="too large"):
        write_report(summary, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_content_is_on_the_disk_before_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bytes] = []

    def fsync(descriptor: int) -> None:
        file = Path(f"/proc/self/fd/{descriptor}").resolve()
        synced.append(file.read_bytes())
        assert not network_path(tmp_path, 1).exists()

    monkeypatch.setattr(os, "fsync", fsync)
    save_network(tmp_path, 1, b"network")
    assert synced == [b"network"]
    assert network_path(tmp_path, 1).read_bytes() == b"network"
    assert [path.name for path in network_path(tmp_path, 1).parent.iterdir()] == ["0001.tflite"]


def test_two_processes_may_write_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, sync = tmp_path / "report.html", os.fsync

    def meanwhile(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", sync)
        other = FORK.Process(target=write_file, args=(path, b"other"))
        other.start()
        other.join()
        assert path.read_bytes() == b"other"
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", meanwhile)
    write_file(path, b"ours")
    assert path.read_bytes() == b"ours"
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_only_a_full_disk_needs_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="File exists") as error:
        write_file(tmp_path / "file" / "network", b"")
    assert "space" not in str(error.value)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="free some space"):
        write_file(tmp_path / "network", b"")
    assert not (tmp_path / "network").exists()
