"""Task `speech_commands`: MLPerf Tiny's keyword spotting on recorded speech: DS-CNN, 12 classes.

Data: Speech Commands v2 in HIL_DATA/speech_commands_v0.02 (`compress.datasets.speech_commands`);
49x10 MFCC. As in MLPerf Tiny's training, training clips are shifted by up to 100 ms, and four of
five have background noise added at up to a tenth of its volume; validation and test clips are as
they are. MLPerf Tiny's quality target is 90 % of its test samples.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from compress.datasets import speech_commands, wave_file
from compress.datasets.folders import files_in, files_key
from compress.datasets.progress import with_progress
from compress.datasets.speech_commands import CLASSES, SPLITS, Clip, Noises
from compress.features.front_end import Spectra
from compress.tasks import mfcc
from compress.tasks.cache import Arrays, cached
from compress.tasks.kws import net
from compress.tasks.mfcc import COEFFICIENTS, FRAMES, FloatArray
from compress.types import Dataset, Recipe, Split, Task

_SEED = 1
_CHUNK = 200  # clips whose audio and spectra are in memory at a time
_LONGEST_SHIFT = mfcc.SAMPLE_RATE_HZ // 10
_NOISY_SHARE, _LOUDEST = 0.8, 0.1


@cache
def load() -> Dataset:
    """The data; takes minutes the first time. Raises UserError if they are not there."""
    arrays = _arrays()
    train, val, test = (
        Split(arrays[f"x_{name}"].reshape(-1, 1, FRAMES, COEFFICIENTS), arrays[f"y_{name}"])
        for name in SPLITS
    )
    return Dataset(train, val, test)


def front_end() -> Spectra:
    """How the samples of `load` were computed; reads or makes the same data."""
    arrays = _arrays()
    return mfcc.mfcc_front_end(arrays["mean"], arrays["deviation"])


def _arrays() -> Arrays:
    folder = speech_commands.find()
    files = files_in(folder, "*/*.wav") + files_in(folder, "*_list.txt")
    sources = [Path(str(module.__file__)) for module in (speech_commands, wave_file, mfcc)]
    key = files_key(files, [str(_SEED)], [*sources, Path(__file__)])
    return cached("speech_commands", key, lambda: make(folder, _SEED))


def make(folder: Path, seed: int) -> Arrays:
    """Arrays x_<split> float32 (N, 49, 10) and y_<split> int64 (N,), the index in CLASSES.

    Each coefficient is normalized by its `mean` and `deviation` (standard), float32 (10,), in the
    training split.
    """
    noises = speech_commands.read_noises(folder)
    arrays: Arrays = {}
    for index, (name, clips) in enumerate(speech_commands.clips_of(folder, noises, seed).items()):
        chunks = [clips[i : i + _CHUNK] for i in range(0, len(clips), _CHUNK)]
        parts = [
            mfcc.mfcc(_audio(chunk, noises, name, np.random.default_rng([seed, 9, index, number])))
            for number, chunk in enumerate(with_progress(f"features of {name}, 200 each", chunks))
        ]
        arrays[f"x_{name}"] = np.concatenate(parts)
        arrays[f"y_{name}"] = np.array([clip.label for clip in clips], np.int64)
    mean, deviation = (f(arrays["x_train"], axis=(0, 1)) for f in (np.mean, np.std))
    for name in SPLITS:
        arrays[f"x_{name}"] = ((arrays[f"x_{name}"] - mean) / deviation).astype(np.float32)
    return {**arrays, "mean": mean, "deviation": deviation}


def _audio(
    clips: Sequence[Clip], noises: Noises, split: str, rng: np.random.Generator
) -> FloatArray:
    """Audio float32 (N, 16000) in -1..1 of the clips, those of training shifted and with noise."""
    audio = np.stack([speech_commands.read_clip(clip, noises) for clip in clips])
    return np.stack([_varied(one, noises, rng) for one in audio]) if split == "train" else audio


def _varied(audio: FloatArray, noises: Noises, rng: np.random.Generator) -> FloatArray:
    shift = int(rng.integers(-_LONGEST_SHIFT, _LONGEST_SHIFT, endpoint=True))
    padded = np.pad(audio, (max(shift, 0), max(-shift, 0)))
    moved = padded[: len(audio)] if shift >= 0 else padded[-len(audio) :]
    if rng.random() >= _NOISY_SHARE:
        return moved
    number, start = noises.draw("train", rng)
    noise = noises.audio[number][start : start + len(audio)]
    mixed: FloatArray = moved + np.float32(rng.uniform(0, _LOUDEST)) * noise
    return mixed.clip(-1.0, 1.0)


TASK = Task(
    name="speech_commands",
    title="MLPerf Tiny keyword spotting, DS-CNN of 22,604 weights and biases, Speech Commands v2",
    input_shape=(1, FRAMES, COEFFICIENTS),
    classes=CLASSES,
    net=net,
    load=load,
    recipe=Recipe(epochs=15, batch=100, learning_rate=0.01),
    fine_tune=Recipe(epochs=1, batch=100, learning_rate=0.01, samples_per_epoch=8_000),
    accuracy_floor=0.90,
    device_samples=128,
    front_end=front_end,
)
