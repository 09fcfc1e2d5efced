"""The example of docs/own-network.md is a task that `--task mine.py` finds and can be searched."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from compress.frontend.capture import capture, trace_module
from compress.frontend.capture_modules import supported_modules
from compress.pipeline.network import check_net
from compress.tasks import get_task
from compress.training.data_check import check_data
from helpers.checkout import ROOT

PAGE = ROOT / "docs" / "own-network.md"


def test_the_page_names_every_layer() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in supported_modules().split(", ") if f"`{name}`" not in text] == []


def test_the_example_is_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert "hil evolve --task mine.py" in text
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    arrays = {f"x_{name}": np.zeros((6, 3, 32, 32)) for name in ("train", "val", "test")}
    labels = {f"y_{name}": np.arange(6) % 3 for name in ("train", "val", "test")}
    np.savez(tmp_path / "mine.npz", **arrays, **labels)
    (code,) = re.findall(r"```python[^\n]*\n(.*?)```", text, re.DOTALL)
    Path("mine.py").write_text(code, encoding="utf-8")
    task = get_task("mine.py")
    check_net(task)
    check_data(task, task.load())
    layers, _, _ = capture(trace_module(task.net(), task.input_shape))
    assert [layer.kind for layer in layers].count("conv") == 2
