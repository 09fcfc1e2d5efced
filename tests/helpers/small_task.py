"""A task that trains in a second: the searches of tests that look at processes, stores and pages.

Given by its path: `hil evolve --task tests/helpers/small_task.py`.
"""

from collections import OrderedDict

import numpy as np
from torch import nn

from compress.types import Dataset, Recipe, Split, Task

TRAIN, VALIDATION, TEST = 192, 96, 96


def net() -> nn.Module:
    """A CNN of two 3x3 convolutions and a Linear: 0.02 million MACs."""
    return nn.Sequential(
        OrderedDict(
            conv1=_block(1, 8, 2),
            conv2=_block(8, 16, 2),
            mean=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classify=nn.Linear(16, 4),
        )
    )


def _block(inputs: int, outputs: int, stride: int) -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            norm=nn.BatchNorm2d(outputs),
            relu=nn.ReLU(),
        )
    )


def load() -> Dataset:
    """Noisy 8x8 images of one bar each: horizontal, vertical or on one of the two diagonals."""
    rng = np.random.default_rng(0)
    splits = []
    for samples in (TRAIN, VALIDATION, TEST):
        labels = rng.integers(0, 4, samples)
        images = np.stack([_bar(int(label), int(rng.integers(2, 6))) for label in labels])
        noise = rng.normal(0.0, 0.4, images.shape)
        splits.append(Split((images + noise)[:, None].astype(np.float32), labels.astype(np.int64)))
    return Dataset(*splits)


def _bar(direction: int, place: int) -> np.ndarray:
    row, column = np.mgrid[0:8, 0:8]
    distance = (row - place, column - place, row - column, row + column - 7)[direction]
    return np.where(distance == 0, 1.0, -1.0)


TASK = Task(
    name="bars",
    title="bars of four directions, 8x8 pixels",
    input_shape=(1, 8, 8),
    classes=("horizontal", "vertical", "falling", "rising"),
    net=net,
    load=load,
    recipe=Recipe(epochs=12, batch=32, learning_rate=0.02),
    fine_tune=Recipe(epochs=2, batch=32, learning_rate=0.01),
    accuracy_floor=0.9,
    device_samples=24,
)
