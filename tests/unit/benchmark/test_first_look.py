"""The first look: what an emulated board says of the untrained network, in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from compress.errors import UserError
from compress.tasks import get_task
from compress.types import Dataset, Split, Task
from hil.benchmark.first_look import look, look_line, show_first_look
from hil.benchmark.models import load_model
from hil.board import load_board
from hil.loop.evolve import Settings, evolve
from hil.objective.goal import Goal


@pytest.fixture(scope="module")
def task() -> Task:
    def net() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))

    rng = np.random.default_rng(0)
    splits = [
        Split(rng.normal(size=(8, 1, 4, 4)).astype(np.float32), np.arange(8, dtype=np.int64) % 2)
        for _ in range(3)
    ]
    return replace(
        get_task("digits"),
        input_shape=(1, 4, 4),
        classes=("a", "b"),
        net=net,
        load=lambda: Dataset(*splits),
    )


def test_an_emulated_board_measures_the_untrained_network(task: Task) -> None:
    board = load_board("m4")
    found = look(task, board)
    assert found.measurement is not None
    assert found.measurement.count > 4 * 4 * 9  # the MACs of the convolution
    line = look_line(found, board)
    assert line.startswith("int8 on m4, before training: ")
    assert "of 512.0 KiB flash" in line
    assert line.endswith("MHz of the STM32F446RE without its memory's wait states")


def test_data_are_told_and_warned_of(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    data = task.load()
    show_first_look(task, replace(data, val=data.train), None)
    shown = capsys.readouterr().err
    assert "data: 8 train, 8 val, 8 test samples; 2 classes of 50.0 to 50.0 % of train" in shown
    assert "at most 15.00 points on the 8 val samples" in shown  # sqrt(2 * 0.9 * 0.1 / 8)
    assert "warning: 8 of the 8 samples of val are also in train" in shown


def test_a_refused_search_leaves_nothing(tmp_path: Path) -> None:
    """Labels beyond the classes are found before the run's folder is made."""
    (tmp_path / "wrong.py").write_text(
        "from dataclasses import replace\n"
        "from compress.tasks.digits import TASK as DIGITS\n"
        "TASK = replace(DIGITS, name='wrong', classes=tuple('012345678'))\n"
        "from torch import nn\n"
        "TASK = replace(TASK, net=lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 9)))\n"
    )
    task, folder = str(tmp_path / "wrong.py"), tmp_path / "run"
    goal = Goal.of(load_board("m3"), 0.5)
    with pytest.raises(UserError, match="train split: labels from 0 to 9; the task has 9 classes"):
        evolve(Settings(task, goal, folder, trials=1, minutes=1))
    assert not folder.exists()
    with pytest.raises(UserError, match="labels from 0 to 9"):
        load_model(task, tmp_path)
