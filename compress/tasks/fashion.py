"""Task `fashion`: Fashion-MNIST, 28x28 pixels, ten kinds of clothes, a small CNN.

Real photographs: the Debian package dataset-fashion-mnist, or HIL_DATA/fashion-mnist. Splits:
50,000 / 10,000 / 10,000, validation drawn from the 60,000 training images by class, test as
published.
"""

from collections import OrderedDict
from functools import cache
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split
from torch import nn

from compress.datasets import fashion, idx
from compress.datasets.folders import files_key
from compress.tasks.cache import Arrays, cached
from compress.types import Array, Dataset, Recipe, Split, Task

_VALIDATION_SHARE = 1 / 6


def net() -> nn.Module:
    """Three 3x3 convolutions, each before a pool, and a Linear: 28,944 weights, 1.9 million MACs.

    Input (N, 1, 28, 28), output logits (N, 10).
    """
    return nn.Sequential(
        OrderedDict(
            conv1=_block(1, 16),
            pool1=nn.MaxPool2d(2),
            conv2=_block(16, 32),
            pool2=nn.MaxPool2d(2),
            conv3=_block(32, 64),
            pool3=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            classify=nn.Linear(64 * 9, len(fashion.CLASSES)),
        )
    )


def _block(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            norm=nn.BatchNorm2d(outputs),
            relu=nn.ReLU(),
        )
    )


@cache
def load() -> Dataset:
    """The data; pixels 0..255 scaled to -1..1. Raises UserError if they are not installed."""
    files = fashion.find_files()
    sources = [Path(str(module.__file__)) for module in (fashion, idx)]
    key = files_key(files.all, [], [*sources, Path(__file__)])
    arrays = cached("fashion", key, lambda: _make(files))
    train, val, test = (
        Split(_scaled(arrays[f"x_{name}"]), arrays[f"y_{name}"].astype(np.int64))
        for name in ("train", "val", "test")
    )
    return Dataset(train, val, test)


def _make(files: fashion.Files) -> Arrays:
    """Arrays x_<split> uint8 (N, 28, 28) and y_<split> uint8 (N,)."""
    x, y = fashion.read_images(files.train_images, files.train_labels)
    x_test, y_test = fashion.read_images(files.test_images, files.test_labels)
    x_train, x_val, y_train, y_val = train_test_split(
        x, y, test_size=_VALIDATION_SHARE, random_state=0, stratify=y
    )
    return {
        **{"x_train": x_train, "x_val": x_val, "x_test": x_test},
        **{"y_train": y_train, "y_val": y_val, "y_test": y_test},
    }


def _scaled(images: Array) -> Array:
    """Images float32 (N, 1, 28, 28) in -1..1."""
    scaled: Array = images[:, np.newaxis].astype(np.float32) / np.float32(127.5) - np.float32(1)
    return scaled


TASK = Task(
    name="fashion",
    title="Fashion-MNIST, 28x28 photographs of clothes, CNN of 28,944 weights",
    input_shape=(1, 28, 28),
    classes=fashion.CLASSES,
    net=net,
    load=load,
    recipe=Recipe(epochs=8, batch=100, learning_rate=0.01),
    fine_tune=Recipe(epochs=1, batch=100, learning_rate=0.005, samples_per_epoch=25_000),
    accuracy_floor=0.90,
    device_samples=100,
)
