"""The benchmark of baselines: trains what is missing only, and says what is not there."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from compress.errors import UserError
from compress.tasks import digits
from compress.types import Dataset, Recipe, Split, Task
from helpers.checkout import ROOT


@pytest.fixture
def baselines(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark with two tasks: digits of 80 samples, and one whose data are not there."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    module = importlib.import_module("baselines")
    whole = digits.load().train
    small = Split(whole.x[:80], whole.y[:80])
    recipe = Recipe(epochs=2, batch=20, learning_rate=0.01)
    data = Dataset(small, small, small)
    task = replace(digits.TASK, load=lambda: data, recipe=recipe)

    def get_task(name: str) -> Task:
        if name == "kws":
            raise UserError("kws is not there: install it")
        return task

    monkeypatch.setattr(module, "get_task", get_task)
    monkeypatch.setattr(module, "PUBLISHED", {"digits": module.PUBLISHED["digits"], "kws": ()})
    module._data_hash.cache_clear()
    return module


def test_only_what_is_missing_is_trained(
    baselines: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    baselines.main(tasks="digits,kws", seeds=2, folder=tmp_path / "runs", write=page)
    assert "kws: left out: kws is not there: install it" in capsys.readouterr().err
    files = sorted((tmp_path / "runs").iterdir())
    assert [path.suffix for path in files] == [".json", ".json"]
    made = [path.stat().st_mtime_ns for path in files]
    baselines.main(tasks="digits", seeds=2, folder=tmp_path / "runs", write=page)
    assert [path.stat().st_mtime_ns for path in files] == made
    files[0].unlink()
    baselines.main(tasks="digits", seeds=2, folder=tmp_path / "runs", write=page)
    assert sorted((tmp_path / "runs").iterdir()) == files


def test_the_page_has_mean_spread_and_the_published_figure(
    baselines: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = baselines.Result(0.9, 0.8, 2, 3.0, 80, 80, {})
    other = replace(result, test=0.84)
    monkeypatch.setattr(
        baselines, "_results", lambda name, *_: [result, other] if name == "digits" else []
    )
    lines = baselines.page(Path("nowhere"), 2).splitlines()
    spread = np.std([80, 84], ddof=1)
    row = f"| `digits` | accuracy | 82.00 ± {spread:.2f} % | 90.00 ± 0.00 % | 2 | 3 | 80 | 2 |"
    assert row in lines
    assert any(line.startswith(f"| `digits` | 82.00 ± {spread:.2f} % | 97 % |") for line in lines)
    assert "Not trained here: `kws`." in lines


def test_subjects_have_the_mean_over_seeds(baselines: ModuleType) -> None:
    one = baselines.Result(0.9, 0.8, 2, 3.0, 80, 80, {"1": 0.7, "2": 0.9})
    two = replace(one, groups={"1": 0.8, "2": 0.9})
    lines = baselines._subjects([one, two])
    assert "| subject | 1 | 2 | mean | spread |" in lines
    spread = np.std([75, 90], ddof=1)
    assert f"| accuracy | 75.0 | 90.0 | 82.5 | {spread:.1f} |" in lines


def test_the_length_of_training_is_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    length = importlib.import_module("training_length")
    length.main(task="digits", epochs="1,2", seeds=1)
    _, _, *rows = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[:2] for row in cells] == [["1", "0"], ["2", "0"]]
    assert all(10 < float(value.removesuffix(" %")) <= 100 for row in cells for value in row[2:5])
