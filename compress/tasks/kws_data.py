"""The keyword-spotting data: voices and words of each split, parallel synthesis and rendering.

A speaker (family of voice variants) is in one split only, and so is every background. Some accents
and variants give equal clips of a word; duplicates are removed across all splits. This module does
not import torch, so that its worker processes start quickly.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from compress.cache import content_hash
from compress.tasks import mfcc, mixing, speech
from compress.tasks.cache import Arrays
from compress.tasks.mfcc import FloatArray
from compress.tasks.mixing import Conditions
from compress.tasks.parallel import Workers, workers
from compress.tasks.speech import ACCENTS, Clip, Utterance

KEYWORDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
CLASSES = (*KEYWORDS, "silence", "unknown")
UNKNOWN_WORDS = (
    *("backward", "bed", "bird", "cat", "dog", "eight", "five", "follow", "forward", "four"),
    *("happy", "house", "learn", "marvin", "nine", "one", "seven", "sheila", "six", "three"),
    *("tree", "two", "visual", "wow", "zero"),
)

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
_PITCHES, _RATES = (15, 85), (110, 230)
_CHUNK = 100

T = TypeVar("T")
Recording = tuple[int, Clip]  # label, clip of the spoken word


@dataclass(frozen=True, slots=True)
class SplitSpec:
    """Parameters of one split: its share of the speakers, its words per class, their rendering.

    Each word is rendered `renderings` times, each time under new random `conditions`. There is as
    much silence as there is of each other class. Each chunk of 100 renderings has its own
    `backgrounds_per_chunk` backgrounds.
    """

    share: float
    words_per_class: int
    renderings: int
    conditions: Conditions
    backgrounds_per_chunk: int = 24


@dataclass(frozen=True, slots=True)
class DataSpec:
    """Parameters of the data set: the seed and the three splits."""

    seed: int
    train: SplitSpec
    val: SplitSpec
    test: SplitSpec

    def split(self, name: SplitName) -> SplitSpec:
        """The parameters of the split called `name`."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]

    @property
    def key(self) -> str:
        """Content hash of the parameters, the sources, and the versions of espeak-ng and NumPy."""
        sources = [Path(str(module.__file__)) for module in (mfcc, mixing, speech)]
        return content_hash(
            [repr((self, speech.version(), np.__version__))], [*sources, Path(__file__)]
        )


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Renderings that share a random generator and backgrounds; one job of a worker."""

    clips: tuple[Clip | None, ...]
    conditions: Conditions
    backgrounds: int
    seed: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.clips)


def make(spec: DataSpec) -> Arrays:
    """Arrays x_<split> float32 (N, 49, 10) and y_<split> int64 (N,), the index in CLASSES.

    Each coefficient is normalized by its `mean` and `deviation` (standard), float32 (10,), in the
    training split. Takes minutes; shows progress on stderr.
    """
    arrays: Arrays = {}
    with workers() as pool:
        recordings = recordings_of(spec, pool)
        for name in SPLITS:
            x, y = render_split(spec, name, recordings[name], pool)
            arrays[f"x_{name}"], arrays[f"y_{name}"] = x, y
    mean, deviation = (f(arrays["x_train"], axis=(0, 1)) for f in (np.mean, np.std))
    for name in SPLITS:
        arrays[f"x_{name}"] = ((arrays[f"x_{name}"] - mean) / deviation).astype(np.float32)
    return {**arrays, "mean": mean, "deviation": deviation}


def recordings_of(spec: DataSpec, pool: Workers) -> dict[SplitName, list[Recording]]:
    """The dry clips of each split, without duplicates of an earlier clip of any split."""
    script = [(name, label, said) for name in SPLITS for label, said in utterances(spec, name)]
    parts = pool.map("speaking", speech.speak, _chunks([said for _, _, said in script]))
    unique = _without_duplicates(clip for part in parts for clip in part)
    recordings: dict[SplitName, list[Recording]] = {name: [] for name in SPLITS}
    for (name, label, _), clip in zip(script, unique, strict=True):
        if clip is not None:
            recordings[name].append((label, clip))
    return recordings


def render_split(
    spec: DataSpec, name: SplitName, recordings: Sequence[Recording], pool: Workers
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Features float32 (N, 49, 10), not normalized, and labels int64 (N,), in random order."""
    chunks, labels = _shuffled_chunks(spec, name, recordings)
    return np.concatenate(pool.map(f"rendering {name}", _render, chunks)), labels


def voices_by_split(spec: DataSpec) -> dict[SplitName, tuple[str, ...]]:
    """The voice variants of each split; all variants of a family are in the same split."""
    families: dict[str, list[str]] = {}
    for variant in speech.variants():
        families.setdefault(speech.family(variant), []).append(variant)
    order = np.random.default_rng([spec.seed, 0]).permutation(sorted(families))
    chosen: dict[SplitName, tuple[str, ...]] = dict.fromkeys(SPLITS, ())
    for family in order:
        # The split with the fewest voices relative to its share is next.
        name = min(SPLITS, key=lambda name: len(chosen[name]) / spec.split(name).share)
        chosen[name] += tuple(families[family])
    return chosen


def utterances(spec: DataSpec, name: SplitName) -> list[tuple[int, Utterance]]:
    """Labels and utterances of a split: voices take turns, the other parameters are random."""
    rng = np.random.default_rng([spec.seed, 1, SPLITS.index(name)])
    voices = voices_by_split(spec)[name]
    said: list[tuple[int, Utterance]] = []
    for label, word in enumerate(CLASSES):
        if word == "silence":
            continue
        for i in range(spec.split(name).words_per_class):
            utterance = Utterance(
                word=str(rng.choice(UNKNOWN_WORDS)) if word == "unknown" else word,
                variant=voices[i % len(voices)],
                accent=str(rng.choice(ACCENTS)),
                pitch=int(rng.integers(*_PITCHES, endpoint=True)),
                rate=int(rng.integers(*_RATES, endpoint=True)),
            )
            said.append((label, utterance))
    return said


def _without_duplicates(clips: Iterable[Clip]) -> Iterator[Clip | None]:
    """The clips, with None for each that equals an earlier one."""
    seen: set[bytes] = set()
    for clip in clips:
        digest = hashlib.sha256(clip.tobytes()).digest()
        yield None if digest in seen else clip
        seen.add(digest)


def _shuffled_chunks(
    spec: DataSpec, name: SplitName, recordings: Sequence[Recording]
) -> tuple[list[_Chunk], npt.NDArray[np.int64]]:
    """Renderings in random order, in chunks, and their labels int64 (N,)."""
    split, index = spec.split(name), SPLITS.index(name)
    silences = len(recordings) * split.renderings // (len(CLASSES) - 1)
    items: list[tuple[int, Clip | None]] = [*recordings] * split.renderings
    items += [(CLASSES.index("silence"), None)] * silences
    order = np.random.default_rng([spec.seed, 2, index]).permutation(len(items))
    shuffled = [items[i] for i in order]
    chunks = [
        _Chunk(
            tuple(clip for _, clip in part),
            split.conditions,
            split.backgrounds_per_chunk,
            (spec.seed, 3, index, number),
        )
        for number, part in enumerate(_chunks(shuffled))
    ]
    return chunks, np.array([label for label, _ in shuffled], np.int64)


def _chunks(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[i : i + _CHUNK] for i in range(0, len(items), _CHUNK)]


def _render(chunk: _Chunk) -> FloatArray:
    rng = np.random.default_rng(chunk.seed)
    words = [clip for clip in chunk.clips if clip is not None]
    backgrounds = mixing.draw_backgrounds(chunk.backgrounds, words, rng)
    return mfcc.mfcc(mixing.render(chunk.clips, backgrounds, chunk.conditions, rng))
