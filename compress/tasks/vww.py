"""Task `vww`: MLPerf Tiny's visual wake words: a person or none, MobileNetV1 0.25, 96x96 pixels.

Data: HIL_DATA/vw_coco2014_96 (`compress.datasets.visual_wake_words`). A picture takes 110 KB of
memory, so HIL_VWW_IMAGES of them are used (10,000; all are 109,620), of each class its share: 80 %
for training, 10 % each for validation and test. MLPerf Tiny's quality target is 80 %; its reference
sees all pictures in 50 epochs, shifted, turned and mirrored at random, which this task does not do.
"""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from torch import nn

from compress.datasets import visual_wake_words
from compress.datasets.folders import files_key
from compress.datasets.progress import with_progress
from compress.datasets.visual_wake_words import CLASSES, SHAPE, find_files, read_picture
from compress.errors import UserError
from compress.tasks.cache import Arrays, cached
from compress.types import Array, Dataset, Recipe, Split, Task

VARIABLE = "HIL_VWW_IMAGES"
DEFAULT_IMAGES = 10_000
_FEWEST = 20
_SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
# Output channels and stride of each depthwise-separable block, at a width of 0.25.
_BLOCKS = (
    *((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)),
    *((128, 1), (128, 1), (128, 1), (128, 1), (128, 1), (256, 2), (256, 1)),
)

Labeled = tuple[Path, int]


def net() -> nn.Module:
    """MobileNetV1 (arXiv:1704.04861) of width 0.25: 208,112 weights, 7.5 million MACs.

    Input (N, 3, 96, 96), output logits (N, 2). Padding is TFLite's SAME: at the right and at the
    bottom only where the stride is 2.
    """
    widths = [8, *(outputs for outputs, _ in _BLOCKS)]
    blocks = [
        _separable(inputs, outputs, stride)
        for inputs, (outputs, stride) in zip(widths, _BLOCKS, strict=False)
    ]
    return nn.Sequential(
        *_convolution(3, 8, 3, 2, 1),
        *(layer for block in blocks for layer in block),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(widths[-1], len(CLASSES)),
    )


def _separable(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    return [
        *_convolution(inputs, inputs, 3, stride, inputs),
        *_convolution(inputs, outputs, 1, 1, 1),
    ]


def _convolution(
    inputs: int, outputs: int, size: int, stride: int, groups: int
) -> tuple[nn.Module, ...]:
    around = size // 2
    padding = nn.ZeroPad2d((0, 1, 0, 1)) if stride == 2 else nn.ZeroPad2d(around)
    return (
        *([padding] if around else []),
        nn.Conv2d(inputs, outputs, size, stride, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


@cache
def load() -> Dataset:
    """The data; pixels 0..255 scaled to -1..1. Raises UserError if they are not there."""
    chosen = choose(find_files(), image_limit())
    paths = [path for split in chosen.values() for path, _ in split]
    sources = [Path(str(visual_wake_words.__file__)), Path(__file__)]
    arrays = cached("vww", files_key(paths, [], sources), lambda: make(chosen))
    train, val, test = (Split(_scaled(arrays[f"x_{n}"]), arrays[f"y_{n}"]) for n in _SHARES)
    return Dataset(train, val, test)


def image_limit() -> int:
    """The number of pictures that HIL_VWW_IMAGES asks for. Raises UserError for none or few."""
    text = os.environ.get(VARIABLE) or str(DEFAULT_IMAGES)
    if not text.isascii() or not text.isdigit() or int(text) < _FEWEST:
        raise UserError(f"{VARIABLE} is {text!r}: must be a number of pictures from {_FEWEST} on")
    return int(text)


def choose(files: dict[str, list[Path]], limit: int) -> dict[str, list[Labeled]]:
    """Pictures and labels of each split, in random order; classes keep their shares."""
    rng = np.random.default_rng(0)
    total = sum(map(len, files.values()))
    chosen: dict[str, list[Labeled]] = {name: [] for name in _SHARES}
    for label, name in enumerate(CLASSES):
        paths = files[name]
        wanted = min(len(paths), round(limit * len(paths) / total))
        order = [paths[i] for i in rng.permutation(len(paths))[:wanted]]
        begin = 0
        for split, share in _SHARES.items():
            end = wanted if split == "test" else begin + round(share * wanted)
            chosen[split] += [(path, label) for path in order[begin:end]]
            begin = end
    for split, pictures in chosen.items():
        chosen[split] = [pictures[i] for i in rng.permutation(len(pictures))]
    return chosen


def make(chosen: dict[str, list[Labeled]]) -> Arrays:
    """Arrays x_<split> uint8 (N, 3, 96, 96) and y_<split> int64 (N,), the index in CLASSES."""
    arrays: Arrays = {}
    for name, pictures in chosen.items():
        arrays[f"x_{name}"] = _pictures(name, pictures)
        arrays[f"y_{name}"] = np.array([label for _, label in pictures], np.int64)
    return arrays


def _pictures(name: str, pictures: Sequence[Labeled]) -> Array:
    images = np.empty((len(pictures), *SHAPE), np.uint8)
    for i, (path, _) in enumerate(with_progress(f"pictures of {name}", pictures)):
        images[i] = read_picture(path)
    return images


def _scaled(images: Array) -> Array:
    scaled: Array = images.astype(np.float32)
    scaled /= np.float32(127.5)
    scaled -= np.float32(1)
    return scaled


TASK = Task(
    name="vww",
    title="MLPerf Tiny visual wake words, MobileNetV1 0.25, 96x96 pixels",
    input_shape=SHAPE,
    classes=CLASSES,
    net=net,
    load=load,
    recipe=Recipe(epochs=20, batch=50, learning_rate=0.005),
    fine_tune=Recipe(epochs=1, batch=50, learning_rate=0.003, samples_per_epoch=4_000),
    accuracy_floor=0.75,
    device_samples=32,
)
