"""Projects of several outputs: every form of the data, the settings, and what is wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compress.errors import UserError
from compress.metrics.registry import metric_of
from compress.outputs import by_output
from compress.pipeline.network import check_net
from compress.projects.arrays import NAMES, arrays_of, npz_data
from compress.projects.keys import checked_values
from compress.projects.output_values import TaskTypes
from compress.projects.project_json import settings_from_json, settings_to_json, to_toml
from compress.training.data_check import check_data
from compress.types import Array, Dataset, Output, Split
from helpers.projects import opened, read, write_project

KIND: TaskTypes = (("shape", "classification"), ("box", "regression"))
RNG = np.random.default_rng(0)
SHAPE = np.arange(60) % 3
BOX = RNG.normal(size=(60, 2))
X = RNG.normal(size=(60, 1, 6, 6)) + SHAPE.reshape(-1, 1, 1, 1)
ENDS = {"train": slice(0, 30), "val": slice(30, 45), "test": slice(45, 60)}
TYPE = 'type = {shape = "classification", box = "regression"}\n'
TOML = f'[task]\nmodel = "net.py:build"\ndata = "data.py:load"\n{TYPE}'
NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.one, self.two = nn.Conv2d(1, 4, 3), nn.Linear(4, 3), nn.Linear(4, 2)

    def forward(self, x):
        seen = self.conv(x).relu().mean((2, 3))
        return {"shape": self.one(seen), "box": self.two(seen)}

def build():
    return Net()
"""
DATA = """
import numpy as np

def load():
    rng = np.random.default_rng(0)
    shape = np.arange(60) % 3
    x = rng.normal(size=(60, 1, 6, 6)) + shape.reshape(-1, 1, 1, 1)
    return {"x": x, "y": {"shape": shape, "box": rng.normal(size=(60, 2))}}
"""


def named() -> dict[str, Any]:
    """Arrays y_train_shape and so on."""
    y = {"shape": SHAPE, "box": BOX}
    parts = {f"y_{of}_{name}": part[ENDS[of]] for of in NAMES for name, part in y.items()}
    return {**{f"x_{of}": X[ENDS[of]] for of in NAMES}, **parts}


def forms() -> dict[str, Any]:
    x = {f"x_{of}": X[ENDS[of]] for of in NAMES}
    nested = {f"y_{of}": {"box": BOX[ENDS[of]], "shape": SHAPE[ENDS[of]]} for of in NAMES}
    whole = by_output({"shape": SHAPE, "box": BOX})
    splits = [Split(X[ENDS[of]].astype(np.float32), whole[ENDS[of]]) for of in NAMES]
    return {"names": named(), "dicts": x | nested, "dataset": Dataset(*splits)}


@pytest.mark.parametrize("form", forms())
def test_every_form_is_the_same_data(form: str) -> None:
    found = arrays_of(forms()[form], "data", KIND)
    y = found.data.val.y
    assert y.dtype.names == ("shape", "box")
    assert (y.dtype["shape"], y.dtype["box"].base) == (np.int64, np.float32)
    np.testing.assert_array_equal(y["shape"], SHAPE[ENDS["val"]])
    np.testing.assert_array_equal(y["box"], BOX[ENDS["val"]].astype(np.float32))
    assert found.outputs == (
        Output("shape", "classification", ("0", "1", "2")),
        Output("box", "regression", ("0", "1")),
    )


def test_an_npz_has_an_array_for_each_output(tmp_path: Path) -> None:
    np.savez(tmp_path / "split.npz", **named())
    np.savez(tmp_path / "whole.npz", x=X, y_shape=SHAPE, y_box=BOX)
    assert len(npz_data(tmp_path / "split.npz", KIND).data.val) == 15
    data = npz_data(tmp_path / "whole.npz", KIND).data
    for split in (data.train, data.val, data.test):  # samples stay together
        rows = [(x == X.astype(np.float32)).all((1, 2, 3)).argmax() for x in split.x]
        np.testing.assert_array_equal(split.y["shape"], SHAPE[rows])
        np.testing.assert_array_equal(split.y["box"], BOX[rows].astype(np.float32))
    assert len(data.train) + len(data.val) + len(data.test) == 60


def test_a_map_has_the_positions_of_its_targets() -> None:
    kind: TaskTypes = (("pixels", "segmentation"), ("box", "regression"))
    pixels = np.tile(np.array([[0, 1, 2]]), (60, 2, 1))
    found = arrays_of({"x": X, "y": {"pixels": pixels, "box": BOX}}, "data", kind)
    assert found.outputs[0] == Output("pixels", "segmentation", ("0", "1", "2"), (3, 2, 3))


def _without(key: str) -> dict[str, Any]:
    return {name: part for name, part in named().items() if key not in name}


@pytest.mark.parametrize(
    ("found", "kind", "words"),
    [
        (_without("box"), KIND, "y has arrays shape; the outputs are shape, box: give an array"),
        ({"x": X, "y": SHAPE}, KIND, "y has one array; the outputs are shape, box: give"),
        (
            named(),
            "classification",
            "several arrays, shape, box: name the type of each, type = {sh",
        ),
        (
            {"x": X, "y": {"shape": SHAPE[1:], "box": BOX}},
            KIND,
            "60 samples and 59 labels: must be equally many",
        ),
        ({"x": X, "y": {"shape": BOX, "box": BOX}}, KIND, r"y_shape is \(60, 2\): must be \(N,\)"),
    ],
)
def test_other_targets_are_named_in_one_line(found: Any, kind: TaskTypes, words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        arrays_of(found, "data", kind)
    assert "\n" not in str(error.value)


def project(folder: Path, task: str = "", training: str = "", data: str = DATA) -> Path:
    return write_project(folder, f"{TOML}{task}\n[training]\n{training}", NET, data)


def test_a_project_of_two_outputs_is_a_task(tmp_path: Path) -> None:
    classes = 'classes = {shape = ["a", "b", "c"]}\nfloor = 0.8\n'
    task = opened(project(tmp_path, classes, "loss_weights = {box = 0.5}")).task
    assert task.outputs == (
        Output("shape", "classification", ("a", "b", "c")),
        Output("box", "regression", ("0", "1"), weight=0.5),
    )
    assert (task.classes, task.accuracy_floor) == ((), 0.8)
    assert metric_of(task).name == "shape.accuracy"
    check_net(task)
    check_data(task, task.load())


def test_labels_that_are_text_take_the_order_that_is_given(tmp_path: Path) -> None:
    text = DATA.replace('"shape": shape,', '"shape": np.array(["no", "ok", "up"])[shape],')
    plain = opened(project(tmp_path / "a", "", "", text)).task
    assert plain.outputs[0].classes == ("no", "ok", "up")
    other = opened(project(tmp_path / "b", 'classes = {shape = ["up", "no", "ok"]}', "", text)).task
    assert other.outputs[0].classes == ("up", "no", "ok")
    numbers = {"no": 1, "ok": 2, "up": 0}
    wanted = [numbers[plain.outputs[0].classes[one]] for one in plain.load().val.y["shape"]]
    np.testing.assert_array_equal(other.load().val.y["shape"], wanted)
    np.testing.assert_array_equal(other.load().val.y["box"], plain.load().val.y["box"])


@pytest.mark.parametrize(
    ("metric", "name", "better"),
    [
        ("shape.f1", "shape.f1", "higher"),
        ("box", "box.mae", "lower"),
        ("box.r2", "box.r2", "higher"),
    ],
)
def test_the_metric_is_that_of_an_output(
    tmp_path: Path, metric: str, name: str, better: str
) -> None:
    task = opened(project(tmp_path, f'metric = "{metric}"\nfloor = 0.5')).task
    assert (metric_of(task).name, metric_of(task).better) == (name, better)
    y: Array = task.load().val.y
    outputs = {"shape": np.eye(3, dtype=np.float32)[y["shape"]], "box": y["box"]}
    perfect = metric_of(task).compute(by_output(outputs), y, task.load().val.x)
    assert perfect == (1.0 if better == "higher" else 0.0)


@pytest.mark.parametrize(
    ("task", "training", "words"),
    [
        ('metric = "accuracy"', "", "must be one of an output, such as shape.accuracy"),
        ('metric = "box.accuracy"', "", "'accuracy': a task of type regression allows mae, rmse"),
        ('metric = "box"', "", "floor is missing: what box.mae is good enough"),
        ('classes = ["a", "b", "c"]', "", r"classes: the names must be given as \{shape = "),
        ('classes = {shap = ["a", "b", "c"]}', "", "classes: there is no output shap; outputs are"),
        ("", "loss_weights = {place = 2.0}", "loss_weights: place: outputs are shape, box"),
        ("", "loss_weights = {box = 0}", "loss_weights = 0: must be more than 0"),
        ("", "loss_weights = 2", r"must be a table, such as \{shape = 1.0, box = 2.0\}"),
    ],
)
def test_wrong_settings_are_named_in_one_line(
    tmp_path: Path, task: str, training: str, words: str
) -> None:
    with pytest.raises(UserError, match=words) as error:
        opened(project(tmp_path, task, training))
    assert "\n" not in str(error.value)


def test_a_wrong_type_is_named(tmp_path: Path) -> None:
    path = project(tmp_path)
    wrong = path.read_text().replace('"regression"', '"regresion"')
    path.write_text(wrong)
    with pytest.raises(UserError, match="did you mean regression"):
        read(path)


def test_the_command_line_takes_the_types_as_text() -> None:
    checked = checked_values({"type": "shape=classification, box=regression"}, Path(), "--{}")
    assert checked["type"] == KIND


def test_settings_go_through_json_and_toml_unchanged(tmp_path: Path) -> None:
    path = project(tmp_path, 'classes = {shape = ["a", "b", "c"]}', "loss_weights = {box = 0.5}")
    settings, task = read(path).settings, opened(path).task
    assert settings_from_json(settings_to_json(settings)) == settings
    told = tomllib.loads(to_toml(settings, task.recipe, task.fine_tune, {}))
    assert told["task"]["type"] == dict(KIND)
    again = checked_values({**told["task"], **told["training"]}, tmp_path, "{}")
    for name in ("type", "classes", "loss_weights"):
        assert again[name] == getattr(settings, name)
