"""A regression and an autoencoder from the command line to measured networks on an emulator."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from helpers import commands
from helpers.checkout import ROOT

# Far more than a search takes on an idle machine: these only end a hang.
MINUTES = 60
LIMIT_S = 60 * MINUTES
FILE = "from helpers.typed_tasks import TASKS\n\nTASK = TASKS[{kind!r}]\n"


def hil(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return commands.hil(folder, *arguments, environment={"PYTHONPATH": paths}, limit_s=LIMIT_S)


def search(folder: Path, kind: str, *arguments: str) -> dict[str, Any]:
    (folder / f"{kind}.py").write_text(FILE.format(kind=kind))
    done = hil(
        folder, "evolve", "--processes", "1", "--task", f"{kind}.py", "--json", "--trials", "2",
        "--minutes", str(MINUTES), "--run", kind, *arguments,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_regression_is_searched_and_reported_in_its_unit(tmp_path: Path) -> None:
    result = search(tmp_path, "regression", "--board", "m3", "--floor", "float+50%")
    metric, value = result["metric"], result["diagnosis"]["value"]
    assert (metric["name"], metric["better"]) == ("mae", "lower")
    assert result["goal"]["floor"] == "float+50%"
    assert result["accuracy_target"] == pytest.approx(1 - 1.5 * value / metric["reference"])
    assert {trial["state"] for trial in result["trials"]} == {"measured"}
    for trial in result["trials"]:
        shown = result["values"][str(trial["number"])]
        assert trial["accuracy"] == pytest.approx(1 - shown / metric["reference"])
        assert trial["measurement"]["correct"] == trial["measurement"]["total"]
        assert trial["measurement"]["value"] > 0  # of the device's own samples, in the unit
    chosen = result["values"][str(result["chosen"]["number"])]
    assert chosen <= 1.5 * value
    page = (tmp_path / "runs" / "regression" / "report.html").read_text()
    assert re.search(r"MAE at most \d\.\d+ \(float\+50%\)", page)
    assert "MAE against cost" in page
    assert "%</td>" not in page.split("The front")[1].split("</table>")[0]
    number = str(result["baseline"]["number"])
    model = f"regression:{number}"
    bench = hil(tmp_path, "bench", model, "--board", "m3", "--json", "--samples", "8")
    assert bench.returncode == 0, bench.stderr
    measured = json.loads(bench.stdout)
    assert measured["val_value"] == pytest.approx(result["values"][number])
    assert measured["float_value"] == pytest.approx(value)
    assert (measured["accuracy"], measured["value"] > 0) == (None, True)


def test_an_autoencoder_is_judged_by_its_area(tmp_path: Path) -> None:
    result = search(tmp_path, "autoencoder", "--board", "m4", "--floor", "float-0.1")
    assert result["metric"] == {"name": "auc", "better": "higher", "reference": None}
    assert result["accuracy_target"] == pytest.approx(result["diagnosis"]["value"] - 0.1)
    assert result["chosen"] is not None
    measured = [t["measurement"] for t in result["trials"] if t["state"] == "measured"]
    assert measured
    assert all(0 <= one["value"] <= 1 for one in measured)
    assert {final["split"] for final in result["finals"]} == {"test"}
    again = hil(tmp_path, "report", "autoencoder")
    assert "AUC" in again.stdout
    refused = hil(
        tmp_path,
        "evolve",
        "--processes",
        "1",
        "--task",
        "autoencoder.py",
        "--board",
        "m4",
        "--floor",
        "float+0.1",
    )
    assert refused.returncode == 2
    assert "AUC is better where it is higher" in refused.stderr
