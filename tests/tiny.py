"""Tasks that train in a blink: small networks on random samples."""

from collections.abc import Callable
from functools import cache

import torch
from networks import Mobile, Perceptron, Resnet, Skip, probe
from torch import nn

from compress.pipeline.network import Original
from compress.types import Dataset, Recipe, Task

NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int], int]] = {
    "skip": (Skip, (1, 6, 6), 3),
    "resnet": (Resnet, (1, 6, 6), 3),
    "mobile": (Mobile, (1, 8, 8), 10),
    "perceptron": (Perceptron, (1, 4, 4), 3),
}


@cache
def original(name: str) -> Original:
    """The network called `name`, untrained, with a task of 48 random samples around it."""
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
