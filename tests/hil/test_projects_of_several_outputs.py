"""A project of a shape and its box, from its arrays to an emulated board, bit for bit."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import numpy as np
import pytest
from test_projects import hil

from compress.integer import reference
from compress.integer.rows import unpack_rows
from compress.tflite.importer import import_tflite
from compress.tflite.oracle import installed
from helpers import several_outputs
from helpers.several_outputs import load
from hil.store.store import Store

TOML = """
[task]
model = "net.py:Net"
data = "both.npz"
type = {shape = "classification", box = "regression"}
classes = {shape = ["square", "cross", "ring"], box = ["x", "y"]}
device_samples = 24

[training]
epochs = 12
batch = 32
learning_rate = 0.01
fine_tune_epochs = 2
loss_weights = {box = 2.0}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user") / "heads"
    folder.mkdir()
    net = f"from torch import Tensor, nn\n\n{inspect.getsource(several_outputs.Net)}"
    (folder / "net.py").write_text(net)
    (folder / "hil.toml").write_text(TOML)
    splits = {name: getattr(load(), name) for name in ("train", "val", "test")}
    y = {
        f"y_{name}_{field}": split.y[field]
        for name, split in splits.items()
        for field in ("shape", "box")
    }
    np.savez(folder / "both.npz", **y, **{f"x_{name}": one.x for name, one in splits.items()})
    return folder


def test_bench_measures_it_bit_exact(project: Path) -> None:
    done = hil(project, "bench", ".", "--board", "m4", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["bit_exact"]
    assert len(told["oracles"]) == len(installed())
    assert (told["accuracy"], told["metric"]["name"]) == (None, "shape.accuracy")
    assert told["value"] > 0.9
    assert told["val_value"] > 0.9
    assert told["other_values"].keys() == told["float_other_values"].keys() == {"box.mae"}
    assert told["other_values"]["box.mae"] == pytest.approx(
        told["float_other_values"]["box.mae"], abs=0.03
    )
    shown = hil(project, "bench", ".", "--board", "m4")
    assert "shape accuracy on the whole validation split" in shown.stdout
    assert "box MAE there 0." in shown.stdout


def test_a_search_finds_candidates_that_reproduce_their_metrics(project: Path) -> None:
    """From model.json alone: the values of each output, by its name, scale and zero point."""
    asked = ("--board", "m4", "--trials", "2", "--engine", "random", "--minutes", "6", "--json")
    done = hil(project, "evolve", "--processes", "1", *asked)
    assert done.returncode == 0, done.stderr
    run = project / "runs" / "heads-m4"
    facts = json.loads((run / "chosen" / "model.json").read_text())
    assert facts["type"] == {"shape": "classification", "box": "regression"}
    assert facts["classes"]["shape"] == ["square", "cross", "ring"]
    (given,) = facts["inputs"]
    val = load().val
    steps = np.round(val.x / np.float32(given["scale"])) + given["zero_point"]
    inputs = np.moveaxis(np.clip(steps, -128, 127).astype(np.int8), 1, -1)
    graph = import_tflite((run / "chosen" / "model.tflite").read_bytes(), "net")
    parts = unpack_rows(graph.output_tensors, reference.run(graph, inputs))
    real = {
        told["output"]: told["scale"] * (part.astype(float) - told["zero_point"])
        for told, part in zip(facts["outputs"], parts, strict=True)
    }
    with Store.read(run) as store:
        trials = store.trials(fidelity=1.0)
    (trial,) = (one for one in trials if one.number == facts["trial"])
    assert float(np.mean(real["shape"].argmax(1) == val.y["shape"])) == trial.accuracy > 0.9
    assert trial.measurement is not None
    error = dict(trial.measurement.others)["box.mae"]
    assert error == pytest.approx(float(np.abs(real["box"] - val.y["box"]).mean()), rel=1e-5)
    report = hil(project, "report", "heads-m4")
    assert "box MAE on the validation split: float network 0." in " ".join(report.stdout.split())
    assert "box MAE on the validation split" in (run / "report.html").read_text()
