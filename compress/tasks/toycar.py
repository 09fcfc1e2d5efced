"""Task `toycar`: MLPerf Tiny's anomaly detection: an autoencoder that hears that a toy car is ill.

Data: HIL_DATA/ToyCar (`compress.datasets.machine_sounds`). An input is five frames of 128 log-mel
bands (`compress.tasks.log_mel`) out of frames 50 to 249 of a file, as in MLPerf Tiny, of whose 196
windows every tenth is used. Training has the files of `train`; the files of `test` are halved by
machine and by kind, for validation and test.

The metric of the task is the AUC over windows. MLPerf Tiny's quality target, 0.85, is the mean over
machines of the AUC over files, each with the mean error of its windows: `auc_of_machines`.
"""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from torch import nn

from compress.datasets import machine_sounds, wave_file
from compress.datasets.folders import damaged, files_key
from compress.datasets.machine_sounds import Sound
from compress.datasets.progress import with_progress
from compress.datasets.wave_file import read_wav
from compress.features.front_end import Spectra
from compress.metrics.areas import area_under_curve
from compress.tasks import log_mel
from compress.tasks.cache import Arrays, cached
from compress.types import Array, Dataset, Recipe, Split, Task

FRAMES = 5
VALUES = FRAMES * log_mel.BANDS
WINDOWS_PER_FILE = 20
_FIRST, _LAST = 49, 249  # MLPerf Tiny's frames 50 to 249, which count from half a window earlier
_WINDOW_STEP = 10


def net() -> nn.Module:
    """MLPerf Tiny's autoencoder: 640, four times 128, 8, four times 128, 640; 264,192 weights.

    Input and output (N, 640).
    """
    widths = [VALUES, 128, 128, 128, 128, 8, 128, 128, 128, 128]
    hidden = [
        layer
        for inputs, outputs in pairwise(widths)
        for layer in (nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU())
    ]
    return nn.Sequential(*hidden, nn.Linear(widths[-1], VALUES))


@cache
def load() -> Dataset:
    """The data; takes minutes the first time. Raises UserError if they are not there."""
    return load_with_files()[0]


def load_with_files() -> tuple[Dataset, list[Sound]]:
    """The data, and the files of the test split, each of which has 20 windows in a row."""
    arrays, test = _arrays()
    splits = (Split(arrays[f"x_{name}"], arrays[f"y_{name}"]) for name in ("train", "val", "test"))
    return Dataset(*splits), test


def front_end() -> Spectra:
    """How the samples of `load` were computed; reads or makes the same data."""
    arrays, _ = _arrays()
    return log_mel.log_mel_front_end(FRAMES, float(arrays["mean"]), float(arrays["deviation"]))


def _arrays() -> tuple[Arrays, list[Sound]]:
    """The arrays of `make`, and the files of the test split."""
    train, rest = machine_sounds.find_sounds()
    val, test = in_halves(rest)
    sounds = {"train": train, "val": val, "test": test}
    paths = [sound.path for part in sounds.values() for sound in part]
    sources = [Path(str(m.__file__)) for m in (machine_sounds, wave_file, log_mel)]
    key = files_key(paths, [], [*sources, Path(__file__)])
    return cached("toycar", key, lambda: make(sounds)), test


def in_halves(sounds: Sequence[Sound]) -> tuple[list[Sound], list[Sound]]:
    """Two parts with as many sounds of each machine and kind, one more in the second if odd."""
    rng = np.random.default_rng(0)
    parts: tuple[list[Sound], list[Sound]] = ([], [])
    for machine, anomalous in sorted({(sound.machine, sound.anomalous) for sound in sounds}):
        own = [s for s in sounds if (s.machine, s.anomalous) == (machine, anomalous)]
        order = [own[i] for i in rng.permutation(len(own))]
        parts[0].extend(order[: len(own) // 2])
        parts[1].extend(order[len(own) // 2 :])
    return parts


def make(sounds: dict[str, list[Sound]]) -> Arrays:
    """Arrays x_<split> float32 (N, 640) and y_<split> int64 (N,), 1 for anomalous.

    Values are less the `mean` of the training split and divided by its standard `deviation`, one of
    each for all, so that reconstruction errors keep their order.
    """
    arrays: Arrays = {}
    for name, files in sounds.items():
        x = np.empty((len(files), WINDOWS_PER_FILE, VALUES), np.float32)
        for i, sound in enumerate(with_progress(f"spectra of {name}", files)):
            x[i] = windows(sound.path)
        arrays[f"x_{name}"] = x.reshape(-1, VALUES)
        arrays[f"y_{name}"] = np.repeat([s.anomalous for s in files], WINDOWS_PER_FILE).astype(
            np.int64
        )
    train = arrays["x_train"]
    mean, deviation = train.mean(dtype=np.float64), train.std(dtype=np.float64)
    for name in sounds:
        arrays[f"x_{name}"] = ((arrays[f"x_{name}"] - mean) / deviation).astype(np.float32)
    return {**arrays, "mean": np.array(mean), "deviation": np.array(deviation)}


def windows(path: Path) -> Array:
    """20 windows float32 (20, 640) of a file, in dB. Raises UserError for one that is too short."""
    audio = read_wav(path, machine_sounds.SAMPLE_RATE_HZ)
    spectrogram = log_mel.log_mel(audio)[_FIRST:_LAST]
    if len(spectrogram) < _LAST - _FIRST:
        raise damaged(path, f"{len(audio) / machine_sounds.SAMPLE_RATE_HZ:.1f} s are too short")
    starts = _WINDOW_STEP * np.arange(WINDOWS_PER_FILE)[:, np.newaxis]
    taken: Array = spectrogram[starts + np.arange(FRAMES)]
    return taken.reshape(WINDOWS_PER_FILE, VALUES)


def auc_of_machines(errors: Array, sounds: Sequence[Sound]) -> dict[str, float]:
    """The AUC over the files of each machine, from the errors (20 times files,) of all windows."""
    of_files = errors.reshape(len(sounds), WINDOWS_PER_FILE).mean(axis=1)
    machines = np.array([sound.machine for sound in sounds])
    anomalous = np.array([sound.anomalous for sound in sounds])
    return {
        str(machine): area_under_curve(
            of_files[machines == machine], anomalous[machines == machine]
        )
        for machine in np.unique(machines)
    }


TASK = Task(
    name="toycar",
    title="MLPerf Tiny anomaly detection, autoencoder of 264,192 weights, ToyCar",
    input_shape=(VALUES,),
    classes=("normal", "anomalous"),
    net=net,
    load=load,
    recipe=Recipe(epochs=30, batch=512, learning_rate=0.003),
    fine_tune=Recipe(epochs=3, batch=512, learning_rate=0.002),
    accuracy_floor=0.80,
    device_samples=128,
    type="autoencoder",
    front_end=front_end,
)
