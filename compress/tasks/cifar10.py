"""Task `cifar10`: MLPerf Tiny's image classification: ResNet-8 on CIFAR-10.

Data: HIL_DATA/cifar-10-batches-py or cifar-10-batches-bin (`compress.datasets.cifar`). Splits:
45,000 / 5,000 / 10,000, validation drawn from the training batches by class, test as published.
MLPerf Tiny's quality target is 85 %; its reference is trained for 500 epochs on images that are
shifted, turned and mirrored at random, which this task does not do.
"""

from functools import cache
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from compress.datasets import cifar, pickles
from compress.datasets.folders import files_key
from compress.tasks.cache import Arrays, cached
from compress.types import Array, Dataset, Recipe, Split, Task

_VALIDATION_SHARE = 0.1


class Stack(nn.Module):
    """Two 3x3 convolutions beside a path that is the input, or a 1x1 convolution of stride 2.

    As in MLPerf Tiny's reference the 1x1 convolution has no batch norm.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.beside = nn.Identity() if stride == 1 else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(self.conv1(x)).relu()
        joined: Tensor = self.beside(x) + self.norm2(self.conv2(y))
        return joined.relu()


def resnet8(channels: int, classes: int) -> nn.Sequential:
    """MLPerf Tiny's ResNet-8 (ResNet v1 of three stacks, 16 filters) for images of any size.

    Input (N, channels, H, W), output logits (N, classes). For 3 channels of 32x32: 77,360 weights,
    12.5 million MACs.
    """
    return nn.Sequential(
        nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        ),
        Stack(16, 16, 1),
        Stack(16, 32, 2),
        Stack(32, 64, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, classes),
    )


def net() -> nn.Module:
    """ResNet-8: input (N, 3, 32, 32), output logits (N, 10)."""
    return resnet8(cifar.SHAPE[0], len(cifar.CLASSES))


@cache
def load() -> Dataset:
    """The data; pixels 0..255 scaled to -1..1. Raises UserError if they are not there."""
    files = cifar.find_files()
    sources = [Path(str(module.__file__)) for module in (cifar, pickles)]
    key = files_key(files, [files[0].parent.name], [*sources, Path(__file__)])
    arrays = cached("cifar10", key, lambda: make(files))
    train, val, test = (
        Split(_scaled(arrays[f"x_{name}"]), arrays[f"y_{name}"].astype(np.int64))
        for name in ("train", "val", "test")
    )
    return Dataset(train, val, test)


def make(files: tuple[Path, ...]) -> Arrays:
    """Arrays x_<split> uint8 (N, 3, 32, 32) and y_<split> uint8 (N,) of batches, test the last."""
    *training, (x_test, y_test) = [cifar.read_batch(path) for path in files]
    x, y = (np.concatenate(parts) for parts in zip(*training, strict=True))
    x_train, x_val, y_train, y_val = train_test_split(
        x, y, test_size=_VALIDATION_SHARE, random_state=0, stratify=y
    )
    return {
        **{"x_train": x_train, "x_val": x_val, "x_test": x_test},
        **{"y_train": y_train, "y_val": y_val, "y_test": y_test},
    }


def _scaled(images: Array) -> Array:
    scaled: Array = images.astype(np.float32)
    scaled /= np.float32(127.5)
    scaled -= np.float32(1)
    return scaled


TASK = Task(
    name="cifar10",
    title="MLPerf Tiny image classification, ResNet-8, CIFAR-10",
    input_shape=cifar.SHAPE,
    classes=cifar.CLASSES,
    net=net,
    load=load,
    recipe=Recipe(epochs=30, batch=100, learning_rate=0.01),
    fine_tune=Recipe(epochs=1, batch=100, learning_rate=0.005, samples_per_epoch=15_000),
    accuracy_floor=0.80,
    device_samples=64,
)
