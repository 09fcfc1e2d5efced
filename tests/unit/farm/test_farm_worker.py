"""A failed job of a farm's worker: its error, machine and saved failure."""

from __future__ import annotations

import errno
import platform
import socket
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from compress.errors import HilError, UserError
from compress.genome import Genome, Quantize
from compress.tasks import get_task
from helpers.projects import read, write_project
from helpers.trials import PROVENANCE
from hil.board import load_board
from hil.errors import NoReply
from hil.farm import source_fingerprint, worker
from hil.farm.pool import FarmPool
from hil.farm.worker import Failed, Ticket
from hil.search.engine import Proposal
from hil.trial.start import Start

START = Start("digits", load_board("m3"), 0, Path("digits-m3"), b"")
TICKET = Ticket("1234", START, "", "", PROVENANCE)
HOST = socket.gethostname()


def trained(error: Exception, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The result of a training that raises `error`, on a machine whose cache is `folder`."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.setattr(worker, "_context", lambda ticket: None)
    monkeypatch.setattr(worker, "prepare", fail)
    return worker.train_job(TICKET, 3, Proposal(Genome((Quantize(),))))


def told(answer: Failed) -> str:
    """The text of the error that the search raises for a worker's result."""
    pool: Any = None
    future: Any = SimpleNamespace(result=lambda timeout: answer)
    with pytest.raises(HilError) as caught:
        FarmPool._result(pool, future)
    return str(caught.value)


def test_what_goes_to_the_workers_is_told_with_hashes(tmp_path: Path) -> None:
    project = read(write_project(tmp_path / "mine"))
    start = replace(START, task=project, state_dict=b"weights")
    ticket = replace(TICKET, start=start, data_sha256="d" * 64)
    net, data = (project.file(key).sha256[:12] for key in ("model", "data"))
    assert ticket.words == (
        f"farm: code and files come with the run (net.py {net}, data.py {data}, network "
        f"{sha256(b'weights').hexdigest()[:12]}); data are read on each machine and compared by "
        "hash (dddddddddddd)"
    )
    assert "comes with the run (e3b0c44298fc), task digits not" in TICKET.words


def test_a_folder_is_named_only_if_something_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = trained(UserError("other data"), tmp_path, monkeypatch)
    assert told(answer) == f"other data (on {HOST})"
    saved = tmp_path / "hil-compress" / "farm" / "digits-m3-1234" / "failures" / "0003"
    saved.mkdir(parents=True)
    answer = trained(NoReply("silence"), tmp_path, monkeypatch)
    assert told(answer) == f"silence (on {HOST}, saved in {saved} there)"


def test_a_full_disk_is_that_of_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/x/y")
    answer = trained(full, tmp_path, monkeypatch)
    assert told(answer) == f"disk full (/x/y): free some space (on {HOST})"


def test_a_bug_is_told_with_its_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        trained(ZeroDivisionError(), tmp_path, monkeypatch)
    assert caught.value.__notes__ == [f"on {HOST}"]


@pytest.mark.parametrize("hidden", ["tflite-micro", "tflite-runtime"])
def test_code_is_also_python_and_the_oracles(hidden: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = source_fingerprint.code_id()
    assert f"Python {platform.python_version().rpartition('.')[0]}" in here

    def none(package: str) -> str:
        if package == hidden:
            raise PackageNotFoundError(package)
        return known(package)

    known = source_fingerprint.version
    monkeypatch.setattr(source_fingerprint, "version", none)
    assert f"no {hidden}" in source_fingerprint.code_id()
    if f"no {hidden}" not in here:
        assert source_fingerprint.code_id() != here


def test_a_worker_refuses_another_task_file_than_that_of_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.py"
    path.write_text("from compress.tasks.digits import TASK\n")
    start = replace(START, task=str(path))
    source = get_task(str(path)).source
    original = SimpleNamespace(task=get_task(str(path)))
    monkeypatch.setattr(Start, "original", lambda self: original)
    ticket = replace(TICKET, start=start, code=source_fingerprint.code_id(), task_source=source)
    path.write_text("from compress.tasks.digits import TASK  # edited\n")
    original.task = get_task(str(path))
    with pytest.raises(UserError, match=r"mine\.py is not the file of the search: copy it"):
        worker._open(ticket)
