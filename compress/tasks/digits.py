"""Task `digits`: scikit-learn's 1,797 handwritten digits, 8x8 pixels, 10 classes.

Source of the images: the UCI "Optical Recognition of Handwritten Digits" test set, shipped inside
scikit-learn. Small enough that a whole search takes minutes.
"""

from functools import cache

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from compress.types import Array, Dataset, Recipe, Split, Task


def _block(inputs: int, outputs: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]


def net() -> nn.Module:
    """A plain CNN: three 3x3 convolutions, 7,376 weights, 0.22 million MACs."""
    return nn.Sequential(
        *_block(1, 16),
        *_block(16, 16),
        nn.MaxPool2d(2),
        *_block(16, 32),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


@cache
def load() -> Dataset:
    """Stratified 60/20/20 split with a fixed seed; pixels 0..16 scaled to -1..1."""
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
