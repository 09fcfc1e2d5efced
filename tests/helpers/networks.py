"""Small float networks that are difficult to prune, and tasks of random samples for them."""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.pipeline.network import Original
from compress.types import Dataset, Recipe, Split, Task


class Skip(nn.Module):
    """A network whose skip ties stem and reduce, with a depthwise layer and a flattened map."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.expand = nn.Conv2d(8, 16, 1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.reduce = nn.Conv2d(16, 8, 1)
        self.out = nn.Linear(8 * 36, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        x = (x + self.reduce(self.depthwise(self.expand(x)).relu())).relu()
        return self.out(torch.flatten(x, 1))


class Unit(nn.Module):
    """A residual unit relu(x + branch(x)) that can be removed as a whole."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, 12, 3, padding=1, bias=False),
            nn.BatchNorm2d(12),
            nn.ReLU(),
            nn.Conv2d(12, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.branch(x))


class Resnet(nn.Module):
    """Two residual units, a residual addition outside of any module, and a projection."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.unit1 = Unit(8)
        self.unit2 = Unit(8)
        self.inner = nn.Sequential(
            nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()),
            nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)),
        )
        self.wide = nn.Conv2d(8, 12, 1, stride=2)
        self.left = nn.Sequential(nn.Conv2d(12, 12, 1), nn.ReLU())
        self.right = nn.Sequential(nn.Conv2d(12, 12, 3, padding=1), nn.ReLU())
        self.out = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.unit2(self.unit1(self.stem(x)))
        x = self.wide(x + self.inner(x))
        x = self.left(x) + self.right(x)
        return self.out(x.mean((2, 3)))


class Mobile(nn.Sequential):
    """A depthwise-separable block as in DS-CNN, of 8 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.block = nn.Sequential()
        self.block.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.block.norm1 = nn.BatchNorm2d(8)
        self.block.relu1 = nn.ReLU()
        self.block.pointwise = nn.Conv2d(8, 12, 1, bias=False)
        self.block.norm2 = nn.BatchNorm2d(12)
        self.block.relu2 = nn.ReLU()
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classify = nn.Linear(12, 10)


class Perceptron(nn.Sequential):
    """Linear layers with batch norm, of widths that are not multiples of four."""

    def __init__(self) -> None:
        super().__init__(
            nn.Flatten(),
            nn.Linear(16, 18),
            nn.BatchNorm1d(18),
            nn.ReLU(),
            nn.Linear(18, 7),
            nn.BatchNorm1d(7),
            nn.ReLU(),
            nn.Linear(7, 3),
        )


class Gated(nn.Module):
    """Joined branches, a gate per channel, norms that nothing can take, and tables."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 8, 3, padding=1), nn.Hardswish())
        self.left = nn.Sequential(nn.Conv2d(8, 8, 1), nn.SiLU(), nn.BatchNorm2d(8))
        self.right = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.down, self.up = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)
        self.out = nn.Linear(16 * 9, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.cat([self.left(x), functional.leaky_relu(self.right(x), 0.1)], 1)
        gate = self.up(torch.relu(self.down(x.mean((2, 3), keepdim=True))))
        x = functional.max_pool2d(x * functional.hardsigmoid(gate), 2)
        return self.out(x.view(x.size(0), -1))


class Series(nn.Sequential):
    """Convolutions over time, one of them depthwise, and batch norm after an activation."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv1d(2, 8, 5, padding=2),
            nn.ReLU(),
            nn.BatchNorm1d(8),
            nn.Conv1d(8, 8, 3, padding=1, groups=8),
            nn.Tanh(),
            nn.Conv1d(8, 12, 1, bias=False),
            nn.BatchNorm1d(12),
            nn.ReLU6(),
            nn.AvgPool1d(3, 2, padding=1),
            nn.Flatten(),
            nn.Linear(12 * 8, 3),
        )


def probe(input_shape: tuple[int, ...], classes: int, samples: int = 96) -> Split:
    """Random samples with random labels, from a fixed seed."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(samples, *input_shape)).astype(np.float32)
    return Split(x, rng.integers(0, classes, samples))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "skip": (Skip, (1, 6, 6), 3),
    "resnet": (Resnet, (1, 6, 6), 3),
    "mobile": (Mobile, (1, 8, 8), 10),
    "perceptron": (Perceptron, (1, 4, 4), 3),
    "gated": (Gated, (2, 6, 6), 3),
    "series": (Series, (2, 16), 3),
}


@cache
def original(name: str) -> Original:
    """The untrained network called `name`, in a task of 48 random samples."""
    make, shape, classes = NETWORKS[name]
    split = probe(shape, classes, 48)
    data = Dataset(split, split, split)
    recipe = Recipe(epochs=1, batch=24, learning_rate=0.01)
    task = Task(
        name, f"{name} on noise", shape, tuple(map(str, range(classes))), make, lambda: data,
        recipe, recipe, 0.5, 8,
    )  # fmt: skip
    torch.manual_seed(0)
    return Original(task, data, make().eval(), 0)
