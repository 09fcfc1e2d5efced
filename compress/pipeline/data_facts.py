"""Facts about a task's data that decide how far results can be believed, before any training.

They are computed in seconds; `data_remarks` says in words which of them are a problem.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from compress.inputs import names_of, parts_of
from compress.metrics.intervals import expected_difference_error
from compress.pipeline.diagnosis import Remark
from compress.pipeline.samples import JUDGED_SAMPLES
from compress.task_types.registry import rules_of
from compress.types import Array, Dataset, Split, Task

SPLITS = ("train", "val", "test")
# A class with a smaller share of the most frequent class's samples is called rare.
_RARE = 0.1
# A split whose values reach so many times further from 0 than those of train is scaled differently.
_FARTHER = 10.0
# A larger standard error of the accuracy, as a share, is remarked on.
_POINT = 0.01
# The accuracy for which precision is stated where no floor is known.
_USUAL = 0.9


@dataclass(frozen=True, slots=True)
class DataFacts:
    """Facts about the splits train, val and test, in this order.

    `samples` are their sizes, `by_class` the samples of each of the `classes` in each (empty for
    other tasks than classification), `largest` the largest absolute value of their inputs. `shared`
    are the samples of val that are also in train, of test in train, and of test in val, byte for
    byte. `contradicting` samples of train have an equal sample with another label.
    `constant_inputs` is true if all samples of train are equal. `by_input` has the `largest` of
    each of several inputs with its name.
    """

    classes: tuple[str, ...]
    samples: tuple[int, int, int]
    by_class: tuple[tuple[int, ...], ...]
    largest: tuple[float, float, float]
    shared: tuple[int, int, int]
    contradicting: int
    constant_inputs: bool
    by_input: tuple[tuple[str, tuple[float, float, float]], ...] = ()


def _three(values: Any) -> tuple[Any, Any, Any]:
    first, second, third = values
    return first, second, third


def data_facts(task: Task, data: Dataset) -> DataFacts:
    """The facts of data that `check_data` accepted."""
    rules = rules_of(task)
    splits = (data.train, data.val, data.test)
    keys = [_hashes(split.x) for split in splits]
    train, val = set(keys[0]), set(keys[1])
    by_class = tuple(rules.by_class(split.y) for split in splits)
    names = names_of(task.input_shape)
    largest = [
        _three(float(np.abs(part).max()) for part in parts)
        for parts in zip(*(parts_of(split.x) for split in splits), strict=True)
    ]
    return DataFacts(
        classes=task.classes,
        samples=_three(len(split) for split in splits),
        by_class=by_class if all(by_class) else (),
        largest=_three(max(of) for of in zip(*largest, strict=True)),
        shared=(
            sum(key in train for key in keys[1]),
            sum(key in train for key in keys[2]),
            sum(key in val for key in keys[2]),
        ),
        contradicting=_contradicting(data.train, keys[0]),
        constant_inputs=len(train) == 1,
        by_input=tuple(zip(names, largest, strict=True)) if names else (),
    )


def _hashes(x: Array) -> list[bytes]:
    """A hash of the bytes of each sample."""
    return [hashlib.blake2b(sample.tobytes(), digest_size=16).digest() for sample in x]


def _contradicting(train: Split, keys: list[bytes]) -> int:
    """The number of samples with an equal sample of another label."""
    labels: dict[bytes, set[bytes]] = {}
    for key, label in zip(keys, train.y, strict=True):
        labels.setdefault(key, set()).add(label.tobytes())
    return sum(len(labels[key]) > 1 for key in keys)


def data_line(facts: DataFacts) -> str:
    """The sizes of the splits and the balance of the classes, in one line."""
    sizes = ", ".join(
        f"{count:,} {name}" for count, name in zip(facts.samples, SPLITS, strict=True)
    )
    line = f"data: {sizes} samples"
    if facts.by_class:
        train = facts.by_class[0]
        shares = sorted(100 * count / sum(train) for count in train)
        line += f"; {len(train)} classes of {shares[0]:.1f} to {shares[-1]:.1f} % of train"
    return line


def precision_line(facts: DataFacts, accuracy: float | None = None) -> str:
    """What accuracies on these splits can tell apart, near `accuracy` (0.9 if None), in one line.

    Compressed networks err mostly where their original does, so that these are upper limits.
    """
    share = accuracy or _USUAL
    judged, test = min(facts.samples[1], JUDGED_SAMPLES), facts.samples[2]
    val_error, test_error = (expected_difference_error(share, n) for n in (judged, test))
    return (
        f"near {100 * share:.0f} %, a difference of two accuracies has a standard error of at most "
        f"{100 * val_error:.2f} points on the {judged:,} val samples that the search compares, "
        f"{100 * test_error:.2f} on test, which decides nothing and confirms"
    )


def data_remarks(facts: DataFacts, accuracy: float | None = None) -> tuple[Remark, ...]:
    """Warnings about the data; `accuracy` is the floor of a classification, None without one."""
    texts = [
        *_shared_texts(facts),
        *_class_texts(facts),
        *_range_texts(facts),
        *([] if accuracy is None else _size_texts(facts, accuracy)),
    ]
    return tuple(Remark("data", text) for text in texts)


def _shared_texts(facts: DataFacts) -> list[str]:
    texts = []
    for count, name, other in zip(
        facts.shared, ("val", "test", "test"), ("train", "train", "val"), strict=True
    ):
        if count:
            total = facts.samples[SPLITS.index(name)]
            texts.append(
                f"{count:,} of the {total:,} samples of {name} are also in {other}, byte for byte: "
                f"accuracies on {name} are flattered; split by recording, person or device"
            )
    if facts.contradicting:
        texts.append(
            f"{facts.contradicting:,} samples of train have an equal sample with another label"
        )
    return texts


def _class_texts(facts: DataFacts) -> list[str]:
    texts = []
    for counts, name in zip(facts.by_class, SPLITS, strict=False):
        missing = [one for one, count in zip(facts.classes, counts, strict=True) if count == 0]
        if missing:
            texts.append(f"{name} has no samples of {_listed(missing)}")
    if facts.by_class:
        counts = facts.by_class[0]
        most = max(counts)
        rare = [
            f"{name!r} ({count:,})"
            for name, count in zip(facts.classes, counts, strict=True)
            if 0 < count < _RARE * most
        ]
        if rare:
            texts.append(
                f"the most frequent class has {most:,} samples in train, {_listed(rare, False)} "
                "less than a tenth of it: look at the recall of each class, or choose "
                "balanced_accuracy as the metric"
            )
    return texts


def _range_texts(facts: DataFacts) -> list[str]:
    if facts.constant_inputs:
        return ["all samples of train are equal"]
    inputs = [(f"{name} in ", largest) for name, largest in facts.by_input] or [("", facts.largest)]
    return [
        f"values of {of}{name} reach {value:.3g}, those of train {train:.3g}: are both scaled "
        "alike?"
        for of, (train, *others) in inputs
        for value, name in zip(others, SPLITS[1:], strict=True)
        if value > _FARTHER * train or value * _FARTHER < train
    ]


def _size_texts(facts: DataFacts, accuracy: float) -> list[str]:
    """A remark if the standard error of the accuracy on val is above a point."""
    count, share = facts.samples[1], min(max(accuracy, 0.5), 0.99)
    error = math.sqrt(share * (1 - share) / count)
    if error <= _POINT:
        return []
    needed = math.ceil(share * (1 - share) / _POINT**2)
    return [
        f"with {count:,} validation samples an accuracy of {100 * share:.0f} % has a standard "
        f"error of {100 * error:.1f} points: networks that differ by less cannot be told apart; "
        f"{needed:,} samples make it 1 point"
    ]


def _listed(names: list[str], quoted: bool = True) -> str:
    """The first three names, and how many more there are."""
    words = [repr(name) for name in names] if quoted else names
    more = len(words) - 3
    return ", ".join(words[:3]) + (f" and {more} more" if more > 0 else "")
