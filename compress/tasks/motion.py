"""Task `motion`: seven shoulder exercises from a smartwatch's accelerometer and gyroscope, 1-D CNN.

Real recordings of ten subjects (`compress.datasets.watch`), in the package seglearn. No subject is
in two splits: six are for training, two for validation, two for test.
"""

from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from torch import nn

from compress.datasets import pickles, watch
from compress.datasets.folders import files_key
from compress.datasets.watch import CHANNELS, EXERCISES, Recording
from compress.features.front_end import Readings
from compress.tasks.cache import Arrays, cached
from compress.types import Array, Dataset, Recipe, Split, Task

WINDOW = 128  # samples: 2.56 s
FOLDS = 5
FOLD = 3  # of the task; the others are for a cross-validation by subject
# A wrist that hits something gives single values of 30 standard deviations, which would take the
# steps of an 8-bit input from all others.
_LARGEST = 5.0


def net() -> nn.Module:
    """Three convolutions over time, pools between them, mean, Linear: 9,903 weights and biases.

    Input (N, 6, 128), output logits (N, 7).
    """
    return nn.Sequential(
        OrderedDict(
            conv1=_block(len(CHANNELS), 24, 7),
            pool1=nn.MaxPool1d(2),
            conv2=_block(24, 32, 5),
            pool2=nn.MaxPool1d(2),
            conv3=_block(32, 48, 3),
            mean=nn.AdaptiveAvgPool1d(1),
            flatten=nn.Flatten(),
            classify=nn.Linear(48, len(EXERCISES)),
        )
    )


def _block(inputs: int, outputs: int, length: int) -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv1d(inputs, outputs, length, padding=length // 2, bias=False),
            norm=nn.BatchNorm1d(outputs),
            relu=nn.ReLU(),
        )
    )


@cache
def load() -> Dataset:
    """The windows of fold `FOLD`. Raises UserError if the data are not installed."""
    return load_fold(FOLD)[0]


def load_fold(fold: int) -> tuple[Dataset, Array]:
    """The data with the test subjects of a fold, and the subject of each test window int64 (N,)."""
    arrays = _arrays(fold)
    train, val, test = (
        Split(arrays[f"x_{name}"], arrays[f"y_{name}"]) for name in ("train", "val", "test")
    )
    return Dataset(train, val, test), arrays["subject_test"]


def front_end() -> Readings:
    """How the samples of `load` were computed; reads or makes the same data."""
    arrays = _arrays(FOLD)
    return watch_front_end(arrays["mean"], arrays["deviation"], WINDOW, planar=False)


def watch_front_end(mean: Array, deviation: Array, window: int, planar: bool) -> Readings:
    """Windows of the watch's channels as a device computes them, scaled as `make` says.

    Counts are 1/4096 g and 1/1024 rad/s: the ranges are 8 g and 32 rad/s.
    """
    return Readings(
        sample_rate_hz=watch.SAMPLE_RATE_HZ,
        channels=CHANNELS,
        units=("g",) * 3 + ("rad/s",) * 3,
        counts_per_unit=np.array([4096.0] * 3 + [1024.0] * 3),
        frames=window,
        mean=mean,
        deviation=deviation,
        largest=_LARGEST,
        planar=planar,
    )


def _arrays(fold: int) -> Arrays:
    path = watch.find_file()
    sources = [Path(str(module.__file__)) for module in (watch, pickles)]
    key = files_key([path], [str(fold)], [*sources, Path(__file__)])
    return cached("motion", key, lambda: make(watch.read_recordings(path), fold))


def subjects_of(subjects: Sequence[int], fold: int) -> dict[str, list[int]]:
    """The subjects of each split: the fold's fifth for test, the next one for validation."""
    ordered = sorted(set(subjects))
    test = set(ordered[2 * fold : 2 * fold + 2])
    next_fold = (fold + 1) % FOLDS
    val = set(ordered[2 * next_fold : 2 * next_fold + 2])
    return {
        "train": [subject for subject in ordered if subject not in test | val],
        "val": sorted(val),
        "test": sorted(test),
    }


def make(recordings: Sequence[Recording], fold: int, window: int = WINDOW) -> Arrays:
    """Arrays x_<split> float32 (N, 6, window), y_<split> int64 (N,), subject_<split> int64 (N,).

    Windows overlap by half. Each channel is less its `mean` and divided by its standard `deviation`
    (6,) in the training subjects' recordings, then limited to -5..5.
    """
    chosen = subjects_of([recording.subject for recording in recordings], fold)
    training = [r.x for r in recordings if r.subject in chosen["train"]]
    samples = np.concatenate(training).astype(np.float64)
    mean, deviation = samples.mean(axis=0), samples.std(axis=0)
    arrays: Arrays = {"mean": mean, "deviation": deviation}
    for name, subjects in chosen.items():
        own = [r for r in recordings if r.subject in subjects]
        parts = [_windows(r.x, window) for r in own]
        counts = [len(part) for part in parts]
        x = (np.concatenate(parts) - mean) / deviation
        arrays[f"x_{name}"] = np.ascontiguousarray(
            x.clip(-_LARGEST, _LARGEST).transpose(0, 2, 1), np.float32
        )
        arrays[f"y_{name}"] = np.repeat([r.exercise for r in own], counts).astype(np.int64)
        arrays[f"subject_{name}"] = np.repeat([r.subject for r in own], counts).astype(np.int64)
    return arrays


def _windows(x: Array, length: int) -> Array:
    """Windows (N, length, 6) of a recording (samples, 6); what is left at its end is not used."""
    starts = range(0, len(x) - length + 1, length // 2)
    return np.stack([x[start : start + length] for start in starts])


TASK = Task(
    name="motion",
    title="shoulder exercises from a smartwatch, 6 channels at 50 Hz, 1-D CNN",
    input_shape=(len(CHANNELS), WINDOW),
    classes=EXERCISES,
    net=net,
    load=load,
    recipe=Recipe(epochs=16, batch=64, learning_rate=0.005),
    fine_tune=Recipe(epochs=2, batch=64, learning_rate=0.003),
    accuracy_floor=0.75,
    device_samples=128,
    front_end=front_end,
)
