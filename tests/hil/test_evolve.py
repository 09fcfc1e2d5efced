"""The main job on a real emulator: it ends, it is repeatable, and nothing can make it forget."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from compress.cache import cache_folder
from helpers.checkout import ROOT
from helpers.commands import hil

CODE = "import sys; from hil.cli.main import main; sys.argv[0] = 'hil'; main()"
# Far more than a run takes on an idle machine, so that its trials end it, not a loaded machine's
# time: the limits only end a hang.
MINUTES = 60
LIMIT_S = 60 * MINUTES
TASK = ROOT / "tests" / "helpers" / "small_task.py"


def command(board: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", CODE, *options(board), *arguments]


def options(board: str) -> tuple[str, ...]:
    return ("evolve", "--task", str(TASK), "--board", board, "--minutes", str(MINUTES), "--json")


def search(folder: Path, board: str, *arguments: str) -> dict[str, Any]:
    done = hil(folder, *options(board), *arguments, limit_s=LIMIT_S)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.fixture(scope="module")
def board_name(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--board"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, board_name: str) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("finished")
    return folder, search(folder, board_name, "--trials", "7")


def test_a_run_ends_with_a_measured_front(finished: tuple[Path, Any]) -> None:
    folder, result = finished
    assert result["stopped_by"] == "trials"
    assert len(result["trials"]) == 7
    assert {trial["state"] for trial in result["trials"]} == {"measured"}
    assert [stage["stage"] for stage in result["baseline"]["genome"]] == ["quantize"]
    assert result["front"]
    numbers = {final["number"] for final in result["finals"]}
    shown = {trial["number"] for trial in (*result["front"], result["baseline"])}
    assert shown >= numbers >= {result["chosen"]["number"], result["baseline"]["number"]}
    run = next((folder / "runs").iterdir())
    chosen = {path.name for path in (run / "chosen").iterdir()}
    assert {"model.c", "weights.c", "link.ld", "model.elf", "model.tflite"} <= chosen
    assert (run / "report.html").stat().st_size > 10_000


def test_the_chosen_network_beats_the_baseline(finished: tuple[Path, Any]) -> None:
    result = finished[1]
    chosen, baseline = result["chosen"]["measurement"], result["baseline"]["measurement"]
    assert result["chosen"]["accuracy"] >= result["baseline"]["accuracy"] - 0.05
    assert chosen["count"] < baseline["count"]
    assert chosen["flash_bytes"]["total"] < baseline["flash_bytes"]["total"]


def test_the_same_command_again_adds_nothing(finished: tuple[Path, Any], board_name: str) -> None:
    folder, result = finished
    again = search(folder, board_name, "--trials", "7")
    assert again["trials"] == result["trials"]


def test_a_larger_budget_goes_on_and_another_board_is_refused(
    finished: tuple[Path, Any], board_name: str
) -> None:
    folder, result = finished
    more = search(folder, board_name, "--trials", "8", "--processes", "1")
    assert more["trials"][:7] == result["trials"]
    assert len(more["trials"]) == 8
    other = "m4" if board_name != "m4" else "m3"
    run = f"small_task-{board_name}"
    refused = hil(folder, *options(other), "--run", run, limit_s=LIMIT_S)
    assert refused.returncode == 2
    assert board_name in refused.stderr


def _essence(result: dict[str, Any]) -> dict[str, Any]:
    """What a seed must fix: the genome, the C bytes, every count and size, every answer."""
    return {
        json.dumps(trial["genome"]): (
            trial["program_sha256"],
            trial["accuracy"],
            trial["measurement"],
        )
        for trial in result["trials"]
    }


def test_kill_9_loses_and_repeats_nothing_and_changes_nothing(
    finished: tuple[Path, Any], tmp_path: Path, board_name: str
) -> None:
    """Also that the same seed gives the same genomes, C bytes and counts: in another process, and
    trained anew."""
    rng, environment = random.Random(), untrained(tmp_path / "cache")
    for _ in range(2):
        process = subprocess.Popen(
            command(board_name, "--trials", "7"),
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        before = _stored(tmp_path)
        deadline = time.monotonic() + LIMIT_S
        wanted = len(before) + rng.randint(0, 3)
        while len(_stored(tmp_path)) < wanted and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(rng.random())
        process.kill()
        process.wait()
        assert _stored(tmp_path)[: len(before)] == before
        assert not _children_left(tmp_path)
    done = subprocess.run(
        command(board_name, "--trials", "7"),
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    result = json.loads(done.stdout)
    keys = [json.dumps(trial["genome"]) for trial in result["trials"]]
    assert len(keys) == len(set(keys)) == 7
    assert _essence(result) == _essence(finished[1])


def untrained(folder: Path) -> dict[str, str]:
    """An environment whose cache has all that is built, and no network that was trained."""
    (folder / "hil-compress").mkdir(parents=True)
    for entry in cache_folder().iterdir():
        if entry.name != "prefixes":
            (folder / "hil-compress" / entry.name).symlink_to(entry)
    return {**os.environ, "XDG_CACHE_HOME": str(folder)}


def _stored(folder: Path) -> list[tuple[int, str]]:
    files = list(folder.glob("runs/*/store.sqlite"))
    if not files:
        return []
    connection = sqlite3.connect(f"file:{files[0]}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(
            "SELECT number, key FROM trials WHERE fidelity = 1 ORDER BY created"
        ).fetchall()
    except sqlite3.OperationalError:  # killed before the tables were made
        return []
    finally:
        connection.close()


def _children_left(folder: Path) -> list[str]:
    """Processes that still work in `folder` a moment after their parent was killed."""
    deadline = time.monotonic() + 5
    while True:
        left = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(process / "cwd") == str(folder):
                    left.append((process / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def test_ctrl_c_ends_with_the_best_so_far(
    finished: tuple[Path, Any], tmp_path: Path, board_name: str
) -> None:
    """A run that goes on, so that there is something to show from its first second on."""
    shutil.copytree(finished[0] / "runs", tmp_path / "runs")
    before = len(_stored(tmp_path))
    process = subprocess.Popen(
        command(board_name, "--trials", "90"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell's background job, and so these tests in one, would hand down that it is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + LIMIT_S
    while len(_stored(tmp_path)) == before:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    result = json.loads(stdout)
    assert result["stopped_by"] == "interrupt"
    assert len(result["trials"]) > before
    assert result["chosen"] is not None
    assert "Traceback" not in stderr
    assert "leaked" not in stderr
    assert not _children_left(tmp_path)
