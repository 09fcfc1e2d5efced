"""Speech Commands v2 (arXiv:1804.03209): one-second words of many speakers, 16 kHz, CC BY 4.0.

As in MLPerf Tiny there are twelve classes: ten words, silence, and unknown for all other words. The
published lists say which clips are for validation and for test; all clips of a speaker are in one
split. Of the clips of other words as many are drawn as there are of a keyword on average, and as
many seconds of silence are cut out of the background noises: 80 % of the length of each noise is
for training, then 10 % each for validation and test.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compress.datasets.folders import Layout, check_files, damaged, files_in, find_folder, read_file
from compress.datasets.wave_file import read_wav

KEYWORDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
CLASSES = (*KEYWORDS, "silence", "unknown")
SPLITS = ("train", "val", "test")
SAMPLE_RATE_HZ = 16_000
CLIP_SAMPLES = SAMPLE_RATE_HZ
_NOISE_FOLDER = "_background_noise_"
_LISTS = {"val": "validation_list.txt", "test": "testing_list.txt"}
# Of the length of each noise: where the part of a split begins and ends.
_NOISE_PARTS = {"train": (0.0, 0.8), "val": (0.8, 0.9), "test": (0.9, 1.0)}

LAYOUT = Layout(
    title="Speech Commands v2",
    folders=("speech_commands_v0.02", "speech_commands"),
    holds=(
        "a folder of WAV files for each word, _background_noise_, validation_list.txt and "
        "testing_list.txt"
    ),
    source="speech_commands_v0.02.tar.gz of download.tensorflow.org/data",
)

Audio = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Clip:
    """A word's file, or a second of silence out of the file of a noise from sample `start` on."""

    path: Path
    label: int
    start: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Noises:
    """The background noises, as float32 samples in -1..1, and the part of a split in each."""

    paths: tuple[Path, ...]
    audio: tuple[Audio, ...]

    def part(self, number: int, split: str) -> tuple[int, int]:
        """The first sample of the split's part of a noise, and the one after its last."""
        begin, end = _NOISE_PARTS[split]
        length = len(self.audio[number])
        return int(begin * length), int(end * length)

    def draw(self, split: str, rng: np.random.Generator) -> tuple[int, int]:
        """The number of a noise, and the first sample of a random second in the split's part."""
        number = int(rng.integers(len(self.audio)))
        begin, end = self.part(number, split)
        return number, int(rng.integers(begin, end - CLIP_SAMPLES, endpoint=True))


def find() -> Path:
    """The folder of the data set. Raises UserError with the layout if it is incomplete."""
    folder = find_folder(LAYOUT)
    check_files(LAYOUT, folder, _LISTS.values())
    for name in (*KEYWORDS, _NOISE_FOLDER):
        check_files(LAYOUT, folder, [] if any((folder / name).glob("*.wav")) else [f"{name}/*.wav"])
    return folder


def word_files(folder: Path) -> list[Path]:
    """The files of all words, sorted."""
    return [path for path in files_in(folder, "*/*.wav") if path.parent.name != _NOISE_FOLDER]


def read_noises(folder: Path) -> Noises:
    """The background noises. Raises UserError for one shorter than ten seconds."""
    paths = tuple(files_in(folder / _NOISE_FOLDER, "*.wav"))
    audio = tuple(read_wav(path, SAMPLE_RATE_HZ) for path in paths)
    for path, samples in zip(paths, audio, strict=True):
        if len(samples) < 10 * CLIP_SAMPLES + 10:
            raise damaged(path, f"{len(samples)} samples; a noise needs ten seconds")
    return Noises(paths, audio)


def clips_of(folder: Path, noises: Noises, seed: int) -> dict[str, list[Clip]]:
    """The clips of each split, in random order. Raises UserError for a list with a missing file."""
    words = _words_by_split(folder)
    clips: dict[str, list[Clip]] = {}
    for index, name in enumerate(SPLITS):
        rng = np.random.default_rng([seed, index])
        spoken = [path for path in words[name] if path.parent.name in KEYWORDS]
        others = [path for path in words[name] if path.parent.name not in KEYWORDS]
        count = round(len(spoken) / len(KEYWORDS))
        drawn = rng.permutation(len(others))[:count]
        silences = (noises.draw(name, rng) for _ in range(count))
        chosen = [
            *(Clip(path, CLASSES.index(path.parent.name)) for path in spoken),
            *(Clip(others[i], CLASSES.index("unknown")) for i in sorted(drawn)),
            *(Clip(noises.paths[n], CLASSES.index("silence"), start) for n, start in silences),
        ]
        clips[name] = [chosen[i] for i in rng.permutation(len(chosen))]
    return clips


def read_clip(clip: Clip, noises: Noises) -> Audio:
    """One second of audio (16000,); words that are shorter are followed by zeros."""
    if clip.path in noises.paths:
        noise = noises.audio[noises.paths.index(clip.path)]
        return noise[clip.start : clip.start + CLIP_SAMPLES]
    samples = read_wav(clip.path, SAMPLE_RATE_HZ)[:CLIP_SAMPLES]
    return np.pad(samples, (0, CLIP_SAMPLES - len(samples)))


def _words_by_split(folder: Path) -> dict[str, list[Path]]:
    """The word files of each split; those in none of the lists are for training."""
    paths = {f"{path.parent.name}/{path.name}": path for path in word_files(folder)}
    listed: dict[str, list[str]] = {}
    for split, name in _LISTS.items():
        lines = read_file(folder / name).decode("utf-8", "replace").split()
        missing = [line for line in lines if line not in paths]
        if missing:
            raise damaged(folder / name, f"{len(missing)} files are not there, as {missing[0]}")
        listed[split] = lines
    both = set(listed["val"]) & set(listed["test"])
    if both:
        raise damaged(folder / _LISTS["test"], f"{min(both)} is in {_LISTS['val']}, too")
    held_out = {*listed["val"], *listed["test"]}
    return {
        "train": [path for name, path in paths.items() if name not in held_out],
        **{split: [paths[name] for name in lines] for split, lines in listed.items()},
    }
