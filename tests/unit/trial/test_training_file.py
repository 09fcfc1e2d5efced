"""The files by which workers tell how far their trainings are."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import nn

from compress.training.progress import listen
from compress.training.train import Schedule, fit
from compress.types import Recipe, Split
from hil.trial.training_file import Training, TrainingFile, read_trainings
from hil.trial.workers import Workers


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_training_is_told_with_its_rate_and_gone_at_its_end(tmp_path: Path) -> None:
    clock = Clock()
    file = TrainingFile(tmp_path, clock)
    file.tell(2.0, 10.0)  # from a checkpoint: the two epochs took no time here
    assert read_trainings(tmp_path) == (Training(2.0, 10.0, None),)
    for clock.seconds, done in ((0.1, 2.5), (4.0, 4.0)):
        file.tell(done, 10.0)
    assert read_trainings(tmp_path) == (Training(4.0, 10.0, 12.0),)  # half an epoch a second
    clock.seconds = 5.0
    file.tell(0.5, 3.0)  # the next stage of the same job
    clock.seconds = 6.0
    file.tell(1.0, 3.0)
    assert read_trainings(tmp_path) == (Training(1.0, 3.0, 4.0),)
    file.ended()
    assert read_trainings(tmp_path) == ()


def test_files_that_were_cut_off_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "1.training").write_text("[1.0, ")
    (tmp_path / "2.training").write_text("[1.0, 2.0, 3.0]")
    assert read_trainings(tmp_path) == (Training(1.0, 2.0, 3.0),)


def test_each_step_of_a_training_is_told() -> None:
    told: list[tuple[float, float]] = []
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(40, 4, generator=generator).numpy()
    split = Split(x, (x.sum(axis=1) > 2).astype("int64"))
    listen(lambda done, epochs: told.append((done, epochs)))
    try:
        fit(nn.Linear(4, 2), split, Schedule(Recipe(epochs=2, batch=20, learning_rate=0.1), 1.5, 0))
    finally:
        listen(None)
    assert told == [(0.5, 1.5), (1.0, 1.5), (1.5, 1.5)]


def _train(context: None, folder: Path) -> None:
    from compress.training.progress import tell_epochs

    tell_epochs(3.0, 8.0)
    (folder / "told").touch()
    until = time.monotonic() + 60
    while not (folder / "seen").exists() and time.monotonic() < until:
        time.sleep(0.02)


def _nothing() -> None:
    """The context of a worker."""


def test_a_pool_knows_the_trainings_of_its_workers(tmp_path: Path) -> None:
    with Workers(1, _nothing) as workers:
        assert workers.trainings() == ()
        future = workers.submit(_train, tmp_path)
        until = time.monotonic() + 60
        while not (tmp_path / "told").exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        assert workers.trainings() == (Training(3.0, 8.0, None),)
        (tmp_path / "seen").touch()
        future.result()
        assert workers.trainings() == ()
