"""A network that diverged or learned nothing is refused before a search, and is not kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from compress.errors import UserError
from compress.pipeline.network import train_original
from compress.training.learning_check import check_batches, check_learned
from compress.types import Array, Dataset, Recipe, Split, Task


def net() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2)
    )


def data(offset: float = 0.0, rare: float = 0.5, samples: int = 240) -> Dataset:
    """Two classes that differ in sign; the share `rare` of the samples is of class 1."""
    rng = np.random.default_rng(0)

    def split() -> Split:
        y = (np.arange(samples) < rare * samples).astype(np.int64)
        x = rng.normal(0, 0.5, (samples, 1, 1, 4)) + np.where(y, 1, -1).reshape(-1, 1, 1, 1)
        return Split((x + offset).astype(np.float32), y)

    return Dataset(split(), split(), split())


TASK = Task(
    "mine", "two signs", (1, 1, 4), ("plus", "minus"), net, data, Recipe(2, 16, 0.01),
    Recipe(1, 16, 0.01), 0.9, 8,
)  # fmt: skip


class Fixed(nn.Module):
    """Answers with these logits, whatever the input is."""

    def __init__(self, logits: Array) -> None:
        super().__init__()
        self.logits = torch.from_numpy(np.asarray(logits, np.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits[: len(x)]


def test_what_learned_is_kept(tmp_path: Path) -> None:
    train_original(TASK, data(), 0, tmp_path / "original.pt")
    train_original(TASK, data(), 0, tmp_path / "original.pt")
    assert (tmp_path / "original.pt").is_file()


def test_what_diverged_is_refused_and_not_kept(tmp_path: Path) -> None:
    wild = replace(TASK, recipe=Recipe(2, 16, 1e30))
    with pytest.raises(
        UserError, match=r"task mine: .*diverged: .*not finite.*learning rate 1e\+30"
    ):
        train_original(wild, data(), 0, tmp_path / "original.pt")
    assert list(tmp_path.iterdir()) == []


def test_a_constant_answer_is_refused_and_not_kept(tmp_path: Path) -> None:
    def dead() -> nn.Module:
        module = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        nn.init.constant_(module[1].bias, -1e3)
        return module

    still = replace(TASK, net=dead, recipe=Recipe(1, 16, 1e-6))
    with pytest.raises(
        UserError, match=r"has learned nothing: accuracy 50\.0 % .*50\.0 % of which are 'plus'"
    ):
        train_original(still, data(), 0, tmp_path / "original.pt")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_a_network_that_learned_nothing_is_refused(tmp_path: Path) -> None:
    torch.save(net().state_dict(), tmp_path / "original.pt")
    with pytest.raises(UserError, match=r"original\.pt has learned nothing"):
        train_original(replace(TASK, net=net), data(offset=50.0), 0, tmp_path / "original.pt")


def test_a_rare_class_that_is_found_is_enough() -> None:
    rare = data(rare=0.05)  # 12 of 240
    logits = np.zeros((240, 2))
    logits[:, 1] = np.where(np.arange(240) < 30, 1, -1)  # all 12 found, 18 false alarms
    check_learned(TASK, rare, Fixed(logits))
    with pytest.raises(UserError, match="learned nothing"):
        check_learned(TASK, rare, Fixed(-np.ones((240, 2)) * [0, 1]))


def test_batch_normalization_of_single_samples_is_refused_in_a_line() -> None:
    check_batches(TASK, data(), net())
    with pytest.raises(UserError, match=r"task mine: .* batches of 1 \(batch of recipe.*2 or more"):
        check_batches(replace(TASK, recipe=Recipe(1, 1, 0.01)), data(), net())
    with pytest.raises(UserError, match=r"batches of 1 \(batch of fine_tune"):
        check_batches(replace(TASK, fine_tune=Recipe(1, 1, 0.01)), data(), net())
