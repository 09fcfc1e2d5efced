"""Wrong data or networks of a task are refused with a reason before training."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from compress.errors import UserError
from compress.pipeline.network import check_net, train_original
from compress.training.data_check import check_data
from compress.types import Array, Dataset, Recipe, Split, Task
from hil.benchmark.models import load_model

Y = np.arange(6) % 2
X = np.repeat(np.where(Y, 1, -1), 16).reshape(6, 1, 4, 4).astype(np.float32)


def data(x: Array = X, y: Array = Y) -> Dataset:
    """Valid data, except for the validation split, which is (x, y)."""
    return Dataset(Split(X, Y), Split(x, y), Split(X, Y))


def net(units: int = 3) -> nn.Module:
    layers = OrderedDict(flat=nn.Flatten(), one=nn.Linear(16, units), two=nn.Linear(units, 2))
    return nn.Sequential(layers)


TASK = Task(
    name="mine",
    title="the user's own",
    input_shape=(1, 4, 4),
    classes=("a", "b"),
    net=net,
    load=data,
    recipe=Recipe(20, 2, 0.01),
    fine_tune=Recipe(1, 2, 0.01),
    accuracy_floor=0.5,
    device_samples=2,
)


def test_sound_data_pass() -> None:
    check_data(TASK, data())


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X.astype(np.float64), Y, r"x is float64 .*must be float32 \(N, 1, 4, 4\)"),
        (X.transpose(0, 2, 3, 1), Y, r"x is float32 \(6, 4, 4, 1\)"),
        (X[:0], Y[:0], "N > 0"),
        (X, Y.astype(np.int32), r"y is int32 \(6,\); must be int64 \(6,\)"),
        (X, np.eye(2)[Y], "y is float64"),
        (X, Y[:5], r"y is int64 \(5,\)"),
        (X, Y + 1, "labels from 1 to 2; the task has 2 classes, from 0 on"),
        (X, Y - 1, "labels from -1 to 0"),
        (np.full_like(X, np.nan), Y, "not finite"),
        (X.tolist(), Y, "must be NumPy arrays"),
    ],
)
def test_what_cannot_be_trained_on_is_named(x: Array, y: Array, words: str) -> None:
    with pytest.raises(UserError, match=f"task mine: val split: .*{words}"):
        check_data(TASK, data(x, y))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input_shape": (1, 1, 4, 4)}, r"input_shape \(1, 1, 4, 4\): must be \(channels, height"),
        ({"input_shape": (0,)}, r"input_shape \(0,\): must be .* or a vector \(features,\)"),
        ({"input_shape": (1, 5, 5)}, r"cannot take two samples of .*\(1, 5, 5\).*shapes"),
        ({"classes": ("a", "b", "c")}, r"answers two samples with \(2, 2\), must be \(2, 3\)"),
        (
            {"net": lambda: nn.Sequential(nn.LPPool2d(2, 1), net())},
            "layer 0: LPPool2d has no integer kernel",
        ),
    ],
)
def test_a_network_that_does_not_fit_its_task_is_named(changes: dict[str, Any], words: str) -> None:
    check_net(TASK)
    with pytest.raises(UserError, match=f"task mine: .*{words}"):
        check_net(replace(TASK, **changes))


def test_series_and_vectors_are_inputs_too() -> None:
    check_net(replace(TASK, input_shape=(16,)))
    check_net(replace(TASK, input_shape=(4, 4)))


def test_samples_may_have_been_reversed(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=X.shape).astype(np.float32)
    split = Split(x[..., ::-1], Y[::-1])
    np.testing.assert_array_equal(split.x, x[..., ::-1])
    train_original(TASK, Dataset(split, split, split), 0, tmp_path / "original.pt")


def test_a_run_keeps_to_its_data_and_its_network(tmp_path: Path) -> None:
    weights = tmp_path / "original.pt"
    train_original(TASK, data(), 0, weights)
    train_original(TASK, data(), 0, weights)
    with pytest.raises(UserError, match=r"original\.pt was trained on other data than task mine"):
        train_original(TASK, data(2 * X), 0, weights)
    with pytest.raises(
        UserError, match=r"original\.pt is damaged or of another network than task mine"
    ):
        train_original(replace(TASK, net=lambda: net(5)), data(), 0, weights)
    (tmp_path / "original.data").unlink()  # as of a run of before, or an imported one
    train_original(TASK, data(2 * X), 0, weights)
    with pytest.raises(UserError, match="other data"):
        train_original(TASK, data(), 0, weights)


def test_a_bench_trains_a_network_for_each_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys: list[str] = []

    def cached(kind: str, key: str, make: Callable[[Path], None]) -> Path:
        keys.append(key)
        raise UserError("enough")

    monkeypatch.setattr("hil.benchmark.models.cached", cached)
    monkeypatch.setattr("compress.projects.find.TASK_NAMES", ("mine",))
    for x in (X, X + 1, X):
        task = replace(TASK, load=lambda x=x: data(x))
        monkeypatch.setattr("hil.benchmark.models.find_task", lambda ref, task=task: task)
        with pytest.raises(UserError, match="enough"):
            load_model("mine", tmp_path)
    assert keys[0] == keys[2] != keys[1]
