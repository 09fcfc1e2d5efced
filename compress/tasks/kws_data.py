"""The keyword-spotting data: who says what, in which split; synthesis and rendering in parallel.

A speaker (family of voice variants) is in one split only, and so is every background. Equal clips
(some accents and variants say a word alike) are removed across all splits. This module does not
import torch, so that its worker processes start quickly.
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

Name = Literal["train", "val", "test"]
NAMES: tuple[Name, ...] = ("train", "val", "test")
_PITCHES, _RATES = (15, 85), (110, 230)
_CHUNK = 100

T = TypeVar("T")
Recording = tuple[int, Clip]  # label, what was said


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """One split: its share of the speakers, words said per class, and how they are rendered.

    Each word is rendered `renderings` times, under other conditions each time; silence is drawn
    so that it is as frequent as any other class. Each chunk of 100 renderings has
    `backgrounds_per_chunk` backgrounds of its own.
    """

    share: float
    words_per_class: int
    renderings: int
    conditions: Conditions
    backgrounds_per_chunk: int = 24


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything the data depend on, besides the sources."""

    seed: int
    train: SplitPlan
    val: SplitPlan
    test: SplitPlan

    def split(self, name: Name) -> SplitPlan:
        return {"train": self.train, "val": self.val, "test": self.test}[name]

    @property
    def key(self) -> str:
        """Content hash of the plan, the sources, the synthesizer and numpy's version."""
        sources = [Path(str(module.__file__)) for module in (mfcc, mixing, speech)]
        return content_hash(
            [repr((self, speech.version(), np.__version__))], [*sources, Path(__file__)]
        )


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Renderings made with one random generator."""

    clips: tuple[Clip | None, ...]
    conditions: Conditions
    backgrounds: int
    seed: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.clips)


def make(plan: Plan) -> Arrays:
    """x_<split> float32 (N, 49, 10), normalized by the training split's mean and standard
    deviation per coefficient, and y_<split> int64 (N,): the index in CLASSES.

    Takes minutes; shows progress on stderr.
    """
    arrays: Arrays = {}
    with workers() as crew:
        recordings = recordings_of(plan, crew)
        for name in NAMES:
            x, y = render_split(plan, name, recordings[name], crew)
            arrays[f"x_{name}"], arrays[f"y_{name}"] = x, y
    mean, deviation = (f(arrays["x_train"], axis=(0, 1)) for f in (np.mean, np.std))
    for name in NAMES:
        arrays[f"x_{name}"] = ((arrays[f"x_{name}"] - mean) / deviation).astype(np.float32)
    return arrays


def recordings_of(plan: Plan, crew: Workers) -> dict[Name, list[Recording]]:
    """The dry clips of each split, without those that are equal to an earlier one of any split."""
    script = [(name, label, said) for name in NAMES for label, said in utterances(plan, name)]
    parts = crew.map("speaking", speech.speak, _chunks([said for _, _, said in script]))
    first = _first_of_their_kind(clip for part in parts for clip in part)
    recordings: dict[Name, list[Recording]] = {name: [] for name in NAMES}
    for (name, label, _), clip in zip(script, first, strict=True):
        if clip is not None:
            recordings[name].append((label, clip))
    return recordings


def render_split(
    plan: Plan, name: Name, recordings: Sequence[Recording], crew: Workers
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Features float32 (N, 49, 10) and labels int64 (N,) of a split, in random order."""
    chunks, labels = _schedule(plan, name, recordings)
    return np.concatenate(crew.map(f"rendering {name}", _render, chunks)), labels


def cast(plan: Plan) -> dict[Name, tuple[str, ...]]:
    """The voice variants of each split; a family is in one split only."""
    families: dict[str, list[str]] = {}
    for variant in speech.variants():
        families.setdefault(speech.family(variant), []).append(variant)
    order = np.random.default_rng([plan.seed, 0]).permutation(sorted(families))
    chosen: dict[Name, tuple[str, ...]] = dict.fromkeys(NAMES, ())
    for family in order:
        # the split that lacks most of its share, relative to it
        name = min(NAMES, key=lambda name: len(chosen[name]) / plan.split(name).share)
        chosen[name] += tuple(families[family])
    return chosen


def utterances(plan: Plan, name: Name) -> list[tuple[int, Utterance]]:
    """What is said in a split, with labels: every voice in turn, the rest drawn."""
    rng = np.random.default_rng([plan.seed, 1, NAMES.index(name)])
    voices = cast(plan)[name]
    said: list[tuple[int, Utterance]] = []
    for label, word in enumerate(CLASSES):
        if word == "silence":
            continue
        for i in range(plan.split(name).words_per_class):
            utterance = Utterance(
                word=str(rng.choice(UNKNOWN_WORDS)) if word == "unknown" else word,
                variant=voices[i % len(voices)],
                accent=str(rng.choice(ACCENTS)),
                pitch=int(rng.integers(*_PITCHES, endpoint=True)),
                rate=int(rng.integers(*_RATES, endpoint=True)),
            )
            said.append((label, utterance))
    return said


def _first_of_their_kind(clips: Iterable[Clip]) -> Iterator[Clip | None]:
    """The clips, with None for those that are equal to an earlier one."""
    seen: set[bytes] = set()
    for clip in clips:
        digest = hashlib.sha256(clip.tobytes()).digest()
        yield None if digest in seen else clip
        seen.add(digest)


def _schedule(
    plan: Plan, name: Name, recordings: Sequence[Recording]
) -> tuple[list[_Chunk], npt.NDArray[np.int64]]:
    """Chunks of renderings in random order, and their labels."""
    split, index = plan.split(name), NAMES.index(name)
    silences = len(recordings) * split.renderings // (len(CLASSES) - 1)
    items: list[tuple[int, Clip | None]] = [*recordings] * split.renderings
    items += [(CLASSES.index("silence"), None)] * silences
    order = np.random.default_rng([plan.seed, 2, index]).permutation(len(items))
    shuffled = [items[i] for i in order]
    chunks = [
        _Chunk(
            tuple(clip for _, clip in part),
            split.conditions,
            split.backgrounds_per_chunk,
            (plan.seed, 3, index, number),
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
