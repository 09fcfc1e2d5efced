"""A project of an image and a vector, from its arrays to an emulated board, bit for bit."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import numpy as np
import pytest
from test_projects import hil

from compress.integer import reference
from compress.integer.rows import pack_rows
from compress.tflite.importer import import_tflite
from compress.tflite.oracle import installed
from helpers import several_inputs
from helpers.several_inputs import load
from hil.store.store import Store

TOML = """
[task]
model = "net.py:Net"
data = "both.npz"
device_samples = 24

[training]
epochs = 12
batch = 32
learning_rate = 0.01
fine_tune_epochs = 2
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user") / "several"
    folder.mkdir()
    net = f"import torch\nfrom torch import Tensor, nn\n\n{inspect.getsource(several_inputs.Net)}"
    (folder / "net.py").write_text(net)
    (folder / "hil.toml").write_text(TOML)
    splits = {name: getattr(load(), name) for name in ("train", "val", "test")}
    x = {
        f"x_{name}_{field}": split.x[field]
        for name, split in splits.items()
        for field in ("image", "numbers")
    }
    np.savez(folder / "both.npz", **x, **{f"y_{name}": one.y for name, one in splits.items()})
    return folder


def test_bench_measures_it_bit_exact(project: Path) -> None:
    done = hil(project, "bench", ".", "--board", "m4", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["bit_exact"]
    assert len(told["oracles"]) == len(installed())
    assert told["accuracy"] > 0.95


def test_a_search_finds_candidates_that_reproduce_their_accuracy(project: Path) -> None:
    """From model.json alone: bytes of the image, channels last, then those of the numbers."""
    asked = ("--board", "m4", "--trials", "2", "--engine", "random", "--minutes", "6", "--json")
    done = hil(project, "evolve", "--processes", "1", *asked)
    assert done.returncode == 0, done.stderr
    run = project / "runs" / "several-m4"
    facts = json.loads((run / "chosen" / "model.json").read_text())
    assert facts["input_shape_in_torch"] == {"image": [2, 8, 8], "numbers": [5]}
    val = load().val
    values = []
    for given, name in zip(facts["inputs"], ("image", "numbers"), strict=True):
        steps = np.round(val.x[name] / np.float32(given["scale"])) + given["zero_point"]
        values.append(np.moveaxis(np.clip(steps, -128, 127).astype(np.int8), 1, -1))
    graph = import_tflite((run / "chosen" / "model.tflite").read_bytes(), "net")
    outputs = reference.run(graph, pack_rows(values)).reshape(len(val), -1)
    with Store.read(run) as store:
        trials = store.trials(fidelity=1.0)
    (trial,) = (one for one in trials if one.number == facts["trial"])
    assert float(np.mean(outputs.argmax(1) == val.y)) == trial.accuracy > 0.9
    assert all(one.measurement for one in trials if one.state == "measured")
