"""Task `digits`: scikit-learn's 1,797 handwritten digits, 8x8 pixels, 10 classes.

Source of the images: the UCI "Optical Recognition of Handwritten Digits" test set, shipped inside
scikit-learn. It is so small that a whole search takes minutes.
"""

from collections import OrderedDict
from functools import cache

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from compress.types import Array, Dataset, Recipe, Split, Task


def net() -> nn.Module:
    """A CNN of three 3x3 convolutions and a Linear: 7,376 weights, 0.24 million MACs."""
    return nn.Sequential(
        OrderedDict(
            conv1=_block(1, 16),
            conv2=_block(16, 16),
            pool=nn.MaxPool2d(2),
            conv3=_block(16, 32),
            mean=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classify=nn.Linear(32, 10),
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
    """The data in a stratified 60/20/20 split with a fixed seed; pixels 0..16 scaled to -1..1."""
    images, labels = load_digits(return_X_y=True)
    x = (images.reshape(-1, 1, 8, 8) / 8.0 - 1.0).astype(np.float32)
    y = labels.astype(np.int64)
    rest_x, test_x, rest_y, test_y = _split(x, y, 0.2)
    train_x, val_x, train_y, val_y = _split(rest_x, rest_y, 0.25)
    return Dataset(Split(train_x, train_y), Split(val_x, val_y), Split(test_x, test_y))


def _split(x: Array, y: Array, share: float) -> tuple[Array, Array, Array, Array]:
    a, b, c, d = train_test_split(x, y, test_size=share, random_state=0, stratify=y)
    return a, b, c, d


TASK = Task(
    name="digits",
    title="scikit-learn digits, 8x8 pixels, CNN of 7,376 weights",
    input_shape=(1, 8, 8),
    classes=tuple(str(digit) for digit in range(10)),
    net=net,
    load=load,
    recipe=Recipe(epochs=20, batch=64, learning_rate=0.01),
    fine_tune=Recipe(epochs=6, batch=64, learning_rate=0.004),
    accuracy_floor=0.95,
    device_samples=360,
)
