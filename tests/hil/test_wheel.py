"""The built wheel works in an empty folder, without the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from compress.tflite.exporter import export_tflite
from helpers.checkout import ROOT
from helpers.graph_examples import residual
from hil.board import board_names

# Far more than a search takes on an idle machine: these only end a hang.
MINUTES = 60
LIMIT_S = 60 * MINUTES


def run(command: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], ROOT)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def site(wheel: Path) -> Path:
    """The wheel as pip installs it; its requirements are those of this Python's environment."""
    site = wheel.parent / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    run([*pip, "--target", str(site), str(wheel)], wheel.parent)
    return site


def hil(site: Path, folder: Path, *arguments: str) -> dict[str, Any]:
    code = "from hil.cli.main import main; main()"
    command = [sys.executable, "-c", code, *arguments, "--json"]
    answer: dict[str, Any] = json.loads(run(command, folder, PYTHONPATH=str(site)))
    return answer


def test_the_boards_are_there(site: Path, tmp_path: Path) -> None:
    assert [board["name"] for board in hil(site, tmp_path, "boards")["boards"]] == [*board_names()]


def test_a_network_is_measured_as_in_the_checkout(site: Path, tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(export_tflite(residual()))
    installed = hil(site, tmp_path, "bench", "net.tflite", "--board", "m4")
    ours = hil(ROOT, tmp_path, "bench", "net.tflite", "--board", "m4")
    assert installed["bit_exact"]
    assert installed["insn"] == ours["insn"]
    assert installed["flash_bytes"] == ours["flash_bytes"]
    assert installed["provenance"]["git_sha"] == f"v{version('hil-compress')}"


def test_a_short_search_runs_for_a_board_of_the_users_own(site: Path, tmp_path: Path) -> None:
    """By a board file beside the run, which reports the run also without that file."""
    board = (ROOT / "boards" / "m3.toml").read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text(board, encoding="utf-8")
    limits = ("--trials", "1", "--engine", "random", "--processes", "1", "--minutes", str(MINUTES))
    told = hil(site, tmp_path, "evolve", "--board", "mine.toml", *limits)
    assert (told["board"], told["stopped_by"], len(told["trials"])) == ("mine", "trials", 1)
    assert (tmp_path / "runs" / "digits-mine" / "report.html").is_file()
    (tmp_path / "mine.toml").unlink()
    assert hil(site, tmp_path, "report", "digits-mine")["chosen"] == told["chosen"]


def test_package_data_are_unpacked_where_the_package_is_a_zip_file(
    wheel: Path, tmp_path: Path
) -> None:
    code = "from hil.files import data_folder; print(data_folder('firmware'))"
    python = [sys.executable, "-c", code]
    places = {
        run(python, tmp_path, PYTHONPATH=str(wheel), XDG_CACHE_HOME=str(tmp_path)).strip()
        for _ in range(2)
    }
    (place,) = places
    assert Path(place).is_relative_to(tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        for name in ("main.c", "templates/model.c.j2"):
            assert (Path(place) / name).read_bytes() == archive.read(f"hil/data/firmware/{name}")
