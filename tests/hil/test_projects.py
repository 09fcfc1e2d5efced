"""From `hil init` to a chosen network, as a user outside the checkout does it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from compress.arithmetic.fixedpoint import value_range
from compress.integer import reference
from compress.projects.arrays import NAMES
from compress.projects.find import find_task
from compress.projects.opened import open_project
from compress.projects.toml_file import read_project_file
from compress.tflite.importer import import_tflite
from compress.training.train import predict, restore
from helpers import commands
from helpers.checkout import ROOT
from helpers.float_networks import export
from helpers.projects import read
from hil.board import load_board
from hil.store.project_files import kept_project
from hil.store.store import Store
from hil.trial.start import Start
from hil.trial.workers import Workers

LIMIT_S = 500


def hil(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return commands.hil(folder, *arguments, environment={"PYTHONPATH": str(ROOT)}, limit_s=LIMIT_S)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an example project after a short search."""
    folder = tmp_path_factory.mktemp("user") / "example"
    made = hil(folder.parent, "init", "example")
    assert made.returncode == 0, made.stderr
    done = hil(folder, "evolve", "--processes", "1", "--trials", "2", "--minutes", "8", "--json")
    assert done.returncode == 0, done.stderr
    assert "1077 samples train" in done.stderr
    told = json.loads(done.stdout)
    assert (told["task"], told["board"], told["stopped_by"]) == ("example", "m3", "trials")
    return folder


def test_the_exported_facts_reproduce_the_networks_answers(searched: Path) -> None:
    """Inputs that are quantized by model.json alone give the accuracy that the store has."""
    run = searched / "runs" / "example-m3"
    facts = json.loads((run / "chosen" / "model.json").read_text())
    assert facts["classes"] == [str(digit) for digit in range(10)]
    data = find_task(read(searched / "hil.toml")).load().val
    (given,) = facts["inputs"]
    low, high = value_range(given["dtype"])
    steps = np.round(data.x / np.float32(given["scale"])) + given["zero_point"]
    inputs = np.clip(steps, low, high).astype(np.int8).transpose(0, 2, 3, 1)
    graph = import_tflite((run / "chosen" / "model.tflite").read_bytes(), "net")
    outputs = reference.run(graph, inputs.copy()).reshape(len(data), -1)
    with Store.read(run) as store:
        (trial,) = (one for one in store.trials() if one.number == facts["trial"])
    assert float(np.mean(outputs.argmax(1) == data.y)) == trial.accuracy
    project = kept_project(run)
    assert project is not None
    assert facts["sha256"]["model"] == project.file("model").sha256


def test_a_trial_is_measured_again_from_the_project_of_the_run(searched: Path) -> None:
    with Store.read(searched / "runs" / "example-m3") as store:
        number = store.trials(fidelity=1.0)[0].number
    for name in ("net.py", "data.py", "hil.toml"):
        (searched / name).rename(searched / f"{name}.away")
    try:
        done = hil(searched, "bench", f"example-m3:{number}", "--json")
    finally:
        for name in ("net.py", "data.py", "hil.toml"):
            (searched / f"{name}.away").rename(searched / name)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bit_exact"]


def test_a_changed_network_does_not_continue_the_run(searched: Path) -> None:
    net = searched / "net.py"
    before = net.read_text()
    net.write_text(before.replace("32", "24"))
    try:
        done = hil(searched, "evolve", "--processes", "1", "--trials", "3")
    finally:
        net.write_text(before)
    assert done.returncode == 2
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("hil: error:"))
    assert "net.py (model) has changed since the run runs/example-m3 began" in line
    assert "choose another run with --run" in line


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("nn.Linear(32, 10)", "nn.Linear(32, 9)", "answers two samples with (2, 9)"),
        ("nn.ReLU()", "nn.LocalResponseNorm(2)", "LocalResponseNorm"),
        ("nn.Conv2d(1,", "nn.Conv2d(3,", "cannot take samples of (1, 8, 8)"),
        ("return nn", "return 1 / 0 or nn", "build of"),
    ],
)
def test_a_mistake_makes_no_run_folder(
    searched: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    for name in ("net.py", "data.py", "hil.toml"):
        text = (searched / name).read_text()
        (tmp_path / name).write_text(text.replace(old, new) if name == "net.py" else text)
    done = hil(tmp_path, "evolve", "--processes", "1", "--trials", "2")
    assert done.returncode == 2, done.stderr
    assert message.lower() in done.stderr.splitlines()[-1].lower()
    assert not (tmp_path / "runs").exists()


def test_workers_run_the_text_that_the_search_has(searched: Path, tmp_path: Path) -> None:
    """Other processes get it with the start, whatever lies at the file's path by then."""
    for name in ("net.py", "data.py", "hil.toml"):
        (tmp_path / name).write_text((searched / name).read_text())
    file = read_project_file(tmp_path / "hil.toml")
    project = read(file.path)
    module = open_project(project).task.net()
    start = Start(project, load_board("m3"), 0, tmp_path, b"")
    (tmp_path / "net.py").write_text("raise SystemExit('another version')")
    (tmp_path / "data.py").unlink()
    with Workers(1, start.task_of_this_process) as workers:
        names, source = workers.submit(_names_of).result(timeout=120)
    assert names == list(module.state_dict())
    assert source == project.source


def _names_of(task: object) -> tuple[list[str], str]:
    from compress.types import Task

    assert isinstance(task, Task)
    return list(task.net().state_dict()), task.source


@pytest.mark.parametrize(
    ("kind", "words"),
    [("regression", "float network, trained for this run: MAE"), ("autoencoder", "AUC 0.9")],
)
def test_the_other_examples_run_as_they_are(tmp_path: Path, kind: str, words: str) -> None:
    assert hil(tmp_path, "init", "example", "--type", kind).returncode == 0
    done = hil(
        tmp_path / "example",
        "evolve",
        "--processes",
        "1",
        "--trials",
        "1",
        "--engine",
        "random",
        "--minutes",
        "8",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    assert words in done.stderr
    assert json.loads(done.stdout)["chosen"] is not None


def test_a_model_file_is_compressed(searched: Path, tmp_path: Path) -> None:
    """The network that the example trained, exported by torch, begins another search."""
    project = read(searched / "hil.toml")
    data, module = find_task(project).load(), find_task(project).net().eval()
    with (searched / "runs" / "example-m3" / "original.pt").open("rb") as file:
        restore(module, file)
    (tmp_path / "net.onnx").write_bytes(export(module, (1, 8, 8)))
    parts = {
        f"{part}_{name}": getattr(getattr(data, name), part) for name in NAMES for part in "xy"
    }
    np.savez(tmp_path / "digits.npz", **parts)
    options = ("--model", "net.onnx", "--data", "digits.npz", "--accuracy", "0.9", "--board", "m3")
    short = ("--processes", "1", "--trials", "2", "--engine", "random", "--json")
    done = hil(tmp_path, "evolve", *options, *short)
    assert done.returncode == 0, done.stderr
    share = float(np.mean(predict(module, data.val.x).numpy().argmax(1) == data.val.y))
    assert f"float network, weights as given: accuracy {100 * share:.1f} % on 360" in done.stderr
    run = tmp_path / "runs" / "net-m3"
    assert {"hil.toml", "net.onnx"} <= {path.name for path in (run / "project").iterdir()}
    with Store.read(run) as store:
        trials = store.trials(fidelity=1.0)
        assert store.original_accuracies()["val"] == pytest.approx(share)
    assert [trial.state for trial in trials] == ["measured"] * 2
    (tmp_path / "net.onnx").unlink()
    again = hil(tmp_path, "bench", f"net-m3:{trials[0].number}", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["bit_exact"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("learning_rate = 0.01", "learning_rate = 100.0", "diverged|has learned nothing"),
        ("[training]", 'weights = "w.pt"\n[training]', "as given, has learned nothing"),
        ("[training]", 'weights = "other.pt"\n[training]', "does not fit the network: missing"),
    ],
)
def test_what_has_not_learned_leaves_no_run(
    searched: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    for name in ("net.py", "data.py", "hil.toml"):
        text = (searched / name).read_text()
        (tmp_path / name).write_text(text.replace(old, new))
    torch.save(find_task(read(searched / "hil.toml")).net().state_dict(), tmp_path / "w.pt")
    torch.save({"other": torch.zeros(2)}, tmp_path / "other.pt")
    done = hil(tmp_path, "evolve", "--processes", "1", "--trials", "2")
    assert done.returncode == 2, done.stderr
    assert re.search(message, done.stderr.splitlines()[-1])
    assert not [*tmp_path.glob("runs/*")]
