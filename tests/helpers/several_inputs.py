"""A task of two inputs, an image and numbers: neither alone tells the class."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from compress.inputs import structured
from compress.pipeline.network import Original, original_of, train_original
from compress.types import Dataset, Recipe, Split, Task

IMAGE, NUMBERS = (2, 8, 8), (5,)


class Net(nn.Module):
    """Logits (N, 4) of an image (N, 2, 8, 8) and numbers (N, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 12, 3, stride=2, padding=1)
        self.dense = nn.Linear(5, 12)
        self.hidden = nn.Linear(24, 16)
        self.out = nn.Linear(16, 4)

    def forward(self, image: Tensor, numbers: Tensor) -> Tensor:
        seen = self.second(self.norm(self.first(image)).relu()).relu().mean((2, 3))
        both = torch.cat((seen, self.dense(numbers).relu()), 1)
        answer: Tensor = self.out(self.hidden(both).relu())
        return answer


def split(seed: int, samples: int) -> Split:
    """The class is 2 * (stripes stand) + (the first number is above the second)."""
    rng = np.random.default_rng([11, seed])
    y = rng.integers(0, 4, samples)
    wave = np.sin(np.arange(8) * np.pi / 2 + rng.uniform(0, 2 * np.pi, (samples, 1)))
    stripes = np.where(y[:, None, None] >= 2, wave[:, None, :], wave[:, :, None])
    image = stripes[:, None] + rng.normal(0, 0.5, (samples, *IMAGE))
    numbers = rng.normal(0, 30, (samples, *NUMBERS))
    high, low = numbers[:, :2].max(1) + 5, numbers[:, :2].min(1) - 5
    numbers[:, 0], numbers[:, 1] = np.where(y % 2, high, low), np.where(y % 2, low, high)
    return Split(structured({"image": image, "numbers": numbers}), y.astype(np.int64))


@cache
def load() -> Dataset:
    return Dataset(split(0, 800), split(1, 300), split(2, 100))


TASK = Task(
    name="several",
    title="an image and numbers",
    input_shape=(("image", IMAGE), ("numbers", NUMBERS)),
    classes=("a", "b", "c", "d"),
    net=Net,
    load=load,
    recipe=Recipe(12, 32, 0.01),
    fine_tune=Recipe(2, 32, 0.005),
    accuracy_floor=0.9,
    device_samples=24,
)


@cache
def _state_dict() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "original.pt"
        train_original(TASK, load(), 0, path)
        return path.read_bytes()


def original() -> Original:
    """The trained original, seed 0; trained once per process."""
    torch.set_num_threads(1)
    return original_of(TASK, load(), 0, _state_dict())
