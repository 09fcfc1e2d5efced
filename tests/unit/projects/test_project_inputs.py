"""Projects of several inputs: every form of the data, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compress.errors import UserError
from compress.inputs import parts_of, shape_of_samples, structured
from compress.pipeline.network import check_net
from compress.projects.arrays import NAMES, arrays_of, npz_data
from compress.training.data_check import check_data
from compress.types import Array, Dataset, Split
from helpers.projects import TOML, opened, write_project

Y = np.arange(60) % 3
RNG = np.random.default_rng(0)
PARTS = {
    "image": RNG.normal(size=(60, 1, 6, 6)) + Y.reshape(-1, 1, 1, 1),
    "numbers": RNG.integers(0, 99, (60, 4)),
}
ENDS = {"train": slice(0, 30), "val": slice(30, 45), "test": slice(45, 60)}
SHAPE = (("image", (1, 6, 6)), ("numbers", (4,)))
NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.dense = nn.Conv2d(1, 4, 3), nn.Linear(8, 3)

    def forward(self, image, numbers):
        return self.dense(torch.cat((self.conv(image).relu().mean((2, 3)), numbers), 1))

def build():
    return Net()
"""


def named(parts: dict[str, Array] = PARTS) -> dict[str, Any]:
    """Arrays x_train_image and so on."""
    x = {f"x_{of}_{name}": part[ENDS[of]] for of in NAMES for name, part in parts.items()}
    return {**x, **{f"y_{of}": Y[ENDS[of]] for of in NAMES}}


def forms() -> dict[str, Any]:
    nested = {f"x_{of}": {name: part[ENDS[of]] for name, part in PARTS.items()} for of in NAMES} | {
        f"y_{of}": Y[ENDS[of]] for of in NAMES
    }
    whole = structured(PARTS)
    splits = [Split(whole[ENDS[of]], Y[ENDS[of]]) for of in NAMES]
    return {"names": named(), "dicts": nested, "dataset": Dataset(*splits)}


@pytest.mark.parametrize("form", forms())
def test_every_form_is_the_same_data(form: str) -> None:
    data = arrays_of(forms()[form], "data", "classification").data
    assert shape_of_samples(data.val.x) == SHAPE
    for part, given in zip(parts_of(data.val.x), PARTS.values(), strict=True):
        np.testing.assert_array_equal(part, given[ENDS["val"]].astype(np.float32))
    np.testing.assert_array_equal(data.test.y, Y[ENDS["test"]])


@pytest.mark.parametrize("with_groups", [False, True])
def test_samples_stay_together_when_they_are_split(with_groups: bool) -> None:
    parts = {"image": PARTS["image"], "numbers": np.repeat(np.arange(60), 4).reshape(60, 4)}
    found: dict[str, Any] = {f"x_{name}": part for name, part in parts.items()}
    found |= {"y": Y, "groups": np.arange(60) // 6} if with_groups else {"y": Y}
    data = arrays_of(found, "data", "classification").data
    rows = np.concatenate([split.x["numbers"][:, 0] for split in (data.train, data.val, data.test)])
    assert sorted(rows) == list(range(60))
    for split in (data.train, data.val, data.test):
        chosen = split.x["numbers"][:, 0].astype(int)
        np.testing.assert_array_equal(split.y, Y[chosen])
        np.testing.assert_array_equal(split.x["image"], PARTS["image"][chosen].astype(np.float32))


def test_a_project_takes_an_npz_of_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "both.npz", **named())
    again = npz_data(tmp_path / "both.npz", "classification").data
    assert shape_of_samples(again.test.x) == SHAPE
    path = write_project(tmp_path / "mine", TOML.replace("data.py:load", "../both.npz"), NET)
    task = opened(path).task
    assert task.input_shape == SHAPE
    assert task.title == "mine, image 1x6x6, numbers 4"
    check_net(task)
    check_data(task, task.load())


def _short() -> dict[str, Any]:
    found = named()
    return {**found, "x_val_numbers": found["x_val_numbers"][1:]}


def _without(name: str) -> dict[str, Any]:
    return {key: value for key, value in named().items() if key != name}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (_without("x_val_image"), r"samples of x_val are numbers \(4,\), those of x_train image"),
        (_short(), "x_val has samples 15 of image, 14 of numbers: must be equally many"),
        ({**named(), "x_test_image": np.array(["a"] * 15)}, "x_test_image is of type <U1"),
        ({**named(), "x_test_numbers": np.zeros(15)}, r"x_test_numbers is \(15,\): must be"),
    ],
)
def test_wrong_arrays_are_named(found: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        arrays_of(found, "data", "classification")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("parts", "toml", "words"),
    [
        (dict(reversed(PARTS.items())), "", "takes image, numbers, but the inputs are numbers, i"),
        ({"image": PARTS["image"]}, "", "takes image, numbers, but the inputs are image: they"),
        (PARTS, "mean = [0.5]\n", r"mean, std: they are of one input; scale several \(image, num"),
        ({**PARTS, "numbers": PARTS["numbers"][:, 1:]}, "", r"samples of .*numbers \(3,\) as the"),
    ],
)
def test_inputs_that_the_network_does_not_take_are_named(
    tmp_path: Path, parts: dict[str, Array], toml: str, words: str
) -> None:
    np.savez(tmp_path / "both.npz", **named(parts))
    path = write_project(tmp_path / "mine", TOML.replace("data.py:load", "../both.npz") + toml, NET)
    with pytest.raises(UserError, match=words) as error:
        opened(path)
    assert "\n" not in str(error.value)
