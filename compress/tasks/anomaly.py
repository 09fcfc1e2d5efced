"""Task `anomaly`: an autoencoder that notices a raised arm among a smartwatch's recordings.

The recordings are those of task `motion`, and so are the subjects of the splits. Normal are five of
the exercises, anomalous are the two that raise the straight arm to the side or to the front (ABD,
FEL): training has normal windows only. An input is 0.64 s of six channels, 192 values. Windows,
widths and the choice of exercises were decided on the validation subjects of the five folds: mean
AUC 0.98; with FEL alone as the anomaly it was 0.79.
"""

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from torch import nn

from compress.datasets import pickles, watch
from compress.datasets.folders import files_key
from compress.datasets.watch import CHANNELS, EXERCISES
from compress.features.front_end import Readings
from compress.tasks import motion
from compress.tasks.cache import Arrays, cached
from compress.types import Dataset, Recipe, Split, Task

WINDOW = 32  # samples: 0.64 s
VALUES = len(CHANNELS) * WINDOW
ANOMALOUS = ("ABD", "FEL")


def net() -> nn.Module:
    """Widths 192, 96, 48, 8, 48, 96, 192 with batch norm and ReLU between: 46,848 weights.

    Input and output (N, 192): the 32 values of a channel, then those of the next.
    """
    widths = [VALUES, 96, 48, 8, 48, 96]
    hidden = [
        layer
        for inputs, outputs in pairwise(widths)
        for layer in (nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU())
    ]
    return nn.Sequential(*hidden, nn.Linear(widths[-1], VALUES))


@cache
def load() -> Dataset:
    """The windows of `motion.FOLD`. Raises UserError if the data are not installed."""
    arrays = _arrays()
    train, val, test = (
        Split(arrays[f"x_{name}"], arrays[f"y_{name}"]) for name in ("train", "val", "test")
    )
    return Dataset(train, val, test)


def front_end() -> Readings:
    """How the samples of `load` were computed; reads or makes the same data."""
    arrays = _arrays()
    return motion.watch_front_end(arrays["mean"], arrays["deviation"], WINDOW, planar=True)


def _arrays() -> Arrays:
    path = watch.find_file()
    sources = [Path(str(module.__file__)) for module in (watch, pickles, motion)]
    key = files_key([path], [str(motion.FOLD)], [*sources, Path(__file__)])
    return cached("anomaly", key, lambda: make(watch.read_recordings(path), motion.FOLD))


def make(recordings: tuple[watch.Recording, ...], fold: int) -> Arrays:
    """Arrays x_<split> float32 (N, 192) and y_<split> int64 (N,), 1 for anomalous.

    Channels are scaled as in `motion.make`, by all recordings of the training subjects: `mean` and
    `deviation` (6,).
    """
    windows = motion.make(recordings, fold, WINDOW)
    exercises = [EXERCISES.index(name) for name in ANOMALOUS]
    arrays: Arrays = {name: windows[name] for name in ("mean", "deviation")}
    for name in ("train", "val", "test"):
        x = windows[f"x_{name}"].reshape(-1, VALUES)
        anomalous = np.isin(windows[f"y_{name}"], exercises)
        kept = ~anomalous if name == "train" else np.full(len(x), True)
        arrays[f"x_{name}"] = x[kept]
        arrays[f"y_{name}"] = anomalous[kept].astype(np.int64)
    return arrays


TASK = Task(
    name="anomaly",
    title="raised arms among shoulder exercises from a smartwatch, autoencoder of 46,848 weights",
    input_shape=(VALUES,),
    classes=("normal", "anomalous"),
    net=net,
    load=load,
    recipe=Recipe(epochs=10, batch=64, learning_rate=0.003),
    fine_tune=Recipe(epochs=2, batch=64, learning_rate=0.002),
    accuracy_floor=0.90,
    device_samples=128,
    type="autoencoder",
    front_end=front_end,
)
