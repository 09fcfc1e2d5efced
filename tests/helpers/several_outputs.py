"""A task of two outputs: the shape that an image shows, and the numbers of its box."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from compress.outputs import by_output
from compress.pipeline.network import Original, original_of, train_original
from compress.types import Dataset, Output, Recipe, Split, Task

SIDE = 12
SHAPES = ("square", "cross", "ring")
BOX = ("x", "y")


class Net(nn.Module):
    """Logits (N, 3) of the shape and the numbers (N, 2) of its place, of images (N, 1, 12, 12)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 12, 3, stride=2, padding=1)
        self.trunk = nn.Linear(12 * 36, 24)
        self.shape = nn.Linear(24, 3)
        self.hidden = nn.Linear(24, 16)
        self.box = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        seen = self.second(self.norm(self.first(x)).relu()).relu()
        trunk = self.trunk(seen.flatten(1)).relu()
        return {"shape": self.shape(trunk), "box": self.box(self.hidden(trunk).relu())}


def split(seed: int, samples: int) -> Split:
    """Shapes of 4x4 pixels anywhere in noise; the place is that of the corner, in units of 4."""
    rng = np.random.default_rng([23, seed])
    kind = rng.integers(0, len(SHAPES), samples)
    place = rng.integers(0, SIDE - 3, (samples, 2))
    full, cross = np.ones((4, 4)), np.zeros((4, 4))
    cross[1:3], cross[:, 1:3] = 1, 1
    ring = full.copy()
    ring[1:3, 1:3] = 0
    x = rng.normal(0, 0.15, (samples, 1, SIDE, SIDE))
    for image, one, (column, row) in zip(x, kind, place, strict=True):
        image[0, row : row + 4, column : column + 4] += (full, cross, ring)[one]
    y = by_output({"shape": kind.astype(np.int64), "box": (place / 4).astype(np.float32)})
    return Split(x.astype(np.float32), y)


@cache
def load() -> Dataset:
    return Dataset(split(0, 900), split(1, 300), split(2, 100))


TASK = Task(
    name="heads",
    title="the shape in an image and its place",
    input_shape=(1, SIDE, SIDE),
    classes=(),
    net=Net,
    load=load,
    recipe=Recipe(12, 32, 0.01),
    fine_tune=Recipe(2, 32, 0.005),
    accuracy_floor=0.9,
    device_samples=24,
    outputs=(
        Output("shape", "classification", SHAPES),
        Output("box", "regression", BOX, weight=2.0),
    ),
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
