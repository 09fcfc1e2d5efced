"""A whole study on a real emulator: killed, gone on with, and taken up elsewhere from its log."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from compress.errors import UserError
from helpers.checkout import ROOT
from hil.store.store import Store

CODE = "import sys; from hil.cli.main import main; sys.argv[0] = 'hil'; main()"
ARMS = ["QD", "elastic", "elastic-uniform"]
# The elastic arms profile, look and build within it; with so many units they train on, too.
MEASUREMENTS, EPOCHS = 16, 90
LABEL = "short"
TASK = ROOT / "tests" / "helpers" / "small_task.py"
LIMIT_S = 3600  # far more than a study takes on an idle machine: it only ends a hang


def command(board: str, results: Path) -> list[str]:
    options = ["--task", str(TASK), "--board", board, "--seeds", "1", "--json"]
    options += ["--measurements", str(MEASUREMENTS), "--epochs", str(EPOCHS)]
    options += ["--arms", ",".join(ARMS), "--label", LABEL, "--results", str(results)]
    return [sys.executable, "-c", CODE, "study", *options]


def run(folder: Path, board: str, results: Path) -> dict[str, Any]:
    done = subprocess.run(
        command(board, results),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def begun(folder: Path, board: str, results: Path, trials: int) -> subprocess.Popen[str]:
    """A study under way in `folder`, with so many trials in its first store."""
    process = subprocess.Popen(
        command(board, results),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job, and so these tests in one, would hand down that it is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    until = time.monotonic() + LIMIT_S
    while len(trials_of(folder / "runs" / f"study-small_task-{board}" / "seed-2")) < trials:
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.5)
    return process


def test_a_study_survives_a_kill_and_goes_on_elsewhere_from_its_log(
    tmp_path: Path, board: Any
) -> None:
    here, elsewhere, results = tmp_path / "here", tmp_path / "elsewhere", tmp_path / "results"
    for folder in (here, elsewhere):
        folder.mkdir()
    place = here / "runs" / f"study-small_task-{board.name}" / "seed-2"

    process = begun(here, board.name, results, trials=3)
    process.send_signal(signal.SIGKILL)
    process.wait()

    # Ctrl-C ends with a report of what there is, as it ends a search.
    process = begun(here, board.name, results, trials=5)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, stderr
    assert "Traceback" not in stderr
    assert json.loads(stdout)["gaps"]
    assert "**Partial**" in (results / f"study-small_task-{board.name}-{LABEL}.md").read_text()
    before = trials_of(place)

    told = run(here, board.name, results)
    after = trials_of(place)
    assert before.items() <= after.items()
    traces = {trace["arm"]: trace for trace in told["traces"]}
    assert list(traces) == ARMS
    # Both elastic arms look at sub-networks, build some, and pay for the same elastic network.
    for arm in ("elastic", "elastic-uniform"):
        assert traces[arm]["looks"] > 0
        assert traces[arm]["measurements"] > 0
        assert 2 * 16 * 3 < traces[arm]["epochs"] <= 2 * EPOCHS
    with Store.read(place) as store:
        trained = [cost for trial in store.trials() for cost in trial.costs if not cost.cached]
    assert [cost.stage for cost in trained].count("elastic") <= 1  # 0: cached by a test before
    page = (results / f"study-small_task-{board.name}-{LABEL}.md").read_text()
    assert "same elastic network" in page
    for picture in ("hypervolume", "floors", "orders"):
        assert (
            results / f"study-small_task-{board.name}-{LABEL}-{picture}.png"
        ).stat().st_size > 1000

    # The log has every evaluation: elsewhere nothing is trained again and the same comes out.
    log = results / f"study-small_task-{board.name}" / "seed-2.csv.gz"
    logged = log.read_bytes()
    again = run(elsewhere, board.name, results)
    assert log.read_bytes() == logged
    assert again["traces"] == told["traces"]
    shutil.rmtree(elsewhere)


def trials_of(place: Path) -> dict[int, str]:
    """Genome keys by trial number, as committed; none where there is no store yet."""
    with suppress(UserError), Store.read(place) as store:
        return {trial.number: trial.genome.key for trial in store.trials()}
    return {}
