"""A small task of synthetic data for each type of task; they train in a few seconds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from compress.pipeline.network import Original, original_of, train_original
from compress.types import Array, Dataset, Recipe, Split, Task

WAVE = 32
TYPES = ("multi_label", "regression", "autoencoder", "segmentation")


def _waves(seed: int, samples: int) -> tuple[Array, Array, Array]:
    """Sums of two sines: x float32 (N, 1, WAVE), whether each is there, and their amplitudes."""
    rng = np.random.default_rng(seed)
    there = rng.integers(0, 2, (samples, 2))
    amplitude = rng.uniform(0.5, 1.5, (samples, 2))
    time = np.arange(WAVE) / WAVE
    phase = rng.uniform(0, 2 * np.pi, (samples, 2, 1))
    sines = np.sin(2 * np.pi * np.array([[2.0], [5.0]]) * time + phase)
    x = np.sum((there * amplitude)[..., np.newaxis] * sines, 1) + rng.normal(
        0, 0.6, (samples, WAVE)
    )
    return x[:, np.newaxis].astype(np.float32), there, amplitude


def _series_net(outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(1, 12, 7, padding=3),
        nn.ReLU(),
        nn.Conv1d(12, 12, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.MaxPool1d(4),
        nn.Flatten(),
        nn.Linear(12 * WAVE // 8, 16),
        nn.ReLU(),
        nn.Linear(16, outputs),
    )


def _dataset(
    make: Callable[[int, int], Split], sizes: tuple[int, int, int] = (600, 200, 100)
) -> Dataset:
    return Dataset(*(make(seed, size) for seed, size in enumerate(sizes)))


def _labels(seed: int, samples: int) -> Split:
    x, there, _ = _waves(seed, samples)
    return Split(x, there.astype(np.float32))


def _amplitudes(seed: int, samples: int) -> Split:
    """The strengths of both waves in a unit of their own, 1 to 4."""
    x, there, amplitude = _waves(seed, samples)
    return Split(x, (1 + 2 * there * amplitude).astype(np.float32))


def _series(seed: int, samples: int) -> Split:
    """Normal samples are in a plane of 16 dimensions; a third of the later splits is not."""
    rng = np.random.default_rng([7, seed])
    base = np.random.default_rng(7).normal(size=(3, 16))
    x = rng.normal(size=(samples, 3)) @ base / 2 + rng.normal(0, 0.1, (samples, 16))
    y = (rng.uniform(size=samples) < 1 / 3) & (seed > 0)
    x[y] += rng.normal(0, 0.12, (int(y.sum()), 16))
    return Split(x.astype(np.float32), y.astype(np.int64))


def _autoencoder_net() -> nn.Module:
    return nn.Sequential(
        nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 16), nn.ReLU(),
        nn.Linear(16, 16),
    )  # fmt: skip


def _maps(seed: int, samples: int) -> Split:
    """Bright and dark squares on a gray ground, 8 x 8: the class of each pixel."""
    rng = np.random.default_rng([9, seed])
    y = np.zeros((samples, 8, 8), np.int64)
    for one in y:
        for label in (1, 2):
            row, column = rng.integers(0, 5, 2)
            one[row : row + 3, column : column + 3] = label
    level = np.array([0.0, 1.0, -1.0])[y]
    x = level + rng.normal(0, 0.5, y.shape)
    return Split(x[:, np.newaxis].astype(np.float32), y)


class _MapNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(1, 12, 3, padding=1)
        self.two = nn.Conv2d(12, 12, 3, padding=1)
        self.out = nn.Conv2d(12, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.out(self.two(self.one(x).relu()).relu())
        return answer


_COMMON = Task(
    name="typed",
    title="synthetic",
    input_shape=(1, WAVE),
    classes=("low", "high"),
    net=lambda: _series_net(2),
    load=lambda: _dataset(_labels),
    recipe=Recipe(6, 32, 0.01),
    fine_tune=Recipe(2, 32, 0.005),
    accuracy_floor=0.9,
    device_samples=24,
)
TASKS = {
    "multi_label": replace(_COMMON, type="multi_label"),
    "regression": replace(
        _COMMON,
        type="regression",
        load=lambda: _dataset(_amplitudes),
        recipe=Recipe(12, 32, 0.01),
        accuracy_floor=0.6,
    ),
    "autoencoder": replace(
        _COMMON,
        type="autoencoder",
        input_shape=(16,),
        classes=("normal", "anomalous"),
        net=_autoencoder_net,
        load=lambda: _dataset(_series),
        recipe=Recipe(15, 32, 0.01),
    ),
    "segmentation": replace(
        _COMMON,
        type="segmentation",
        input_shape=(1, 8, 8),
        classes=("ground", "bright", "dark"),
        net=_MapNet,
        load=lambda: _dataset(_maps, (300, 100, 60)),
        recipe=Recipe(6, 32, 0.01),
        accuracy_floor=0.7,
    ),
}


@cache
def data_of(kind: str) -> Dataset:
    """The task's data, made once."""
    return TASKS[kind].load()


@cache
def _state_dict(kind: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "original.pt"
        train_original(TASKS[kind], data_of(kind), 0, path)
        return path.read_bytes()


def original_for(kind: str) -> Original:
    """The trained original of a type, seed 0; trained once per process."""
    torch.set_num_threads(1)
    return original_of(TASKS[kind], data_of(kind), 0, _state_dict(kind))
