"""The example of docs/own-network.md is a task that can be searched."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from compress.frontend.capture import capture, trace_module
from compress.pipeline.network import check_net
from compress.training.data_check import check_data
from compress.types import Task
from helpers.checkout import ROOT

PAGE = ROOT / "docs" / "own-network.md"


def test_the_example_is_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    arrays = {f"x_{name}": np.zeros((6, 3, 32, 32)) for name in ("train", "val", "test")}
    labels = {f"y_{name}": np.arange(6) % 3 for name in ("train", "val", "test")}
    np.savez(tmp_path / "mine.npz", **arrays, **labels)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    module: dict[str, object] = {"__name__": "mine"}
    exec(compile(code, str(PAGE), "exec"), module)
    task = module["TASK"]
    assert isinstance(task, Task)
    check_net(task)
    check_data(task, task.load())
    layers, _, _ = capture(trace_module(task.net(), task.input_shape))
    assert [layer.kind for layer in layers].count("conv") == 2
