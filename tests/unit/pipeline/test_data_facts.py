"""Facts about data: sizes, classes, samples in two splits, ranges, and their remarks."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from compress.pipeline.data_facts import (
    DataFacts,
    data_facts,
    data_line,
    data_remarks,
    precision_line,
)
from compress.tasks import get_task
from compress.types import Dataset, Split, Task


@pytest.fixture(scope="module")
def task() -> Task:
    return replace(get_task("digits"), classes=("a", "b", "c"), input_shape=(2,))


def _split(values: list[float], labels: list[int]) -> Split:
    x = np.array(values, np.float32)[:, None] * np.ones(2, np.float32)
    return Split(x, np.array(labels, np.int64))


def _texts(facts: DataFacts, accuracy: float | None = None) -> list[str]:
    return [remark.text for remark in data_remarks(facts, accuracy)]


def test_sound_data_need_no_remark(task: Task) -> None:
    train = _split([1, 2, 3], [0, 1, 2])
    facts = data_facts(
        task, Dataset(train, _split([4, 5, 6], [0, 1, 2]), _split([7, 8, 9], [0, 1, 2]))
    )
    assert data_remarks(facts) == ()
    assert data_line(facts) == (
        "data: 3 train, 3 val, 3 test samples; 3 classes of 33.3 to 33.3 % of train"
    )


def test_what_the_splits_can_tell_apart_is_stated(task: Task) -> None:
    """Published sizes of fashion: sqrt(2 * 0.92 * 0.08 / N) for 2,880 judged and 10,000 tested."""
    few = _split([1, 2, 3], [0, 1, 2])
    facts = data_facts(task, Dataset(few, _split([4, 5, 6], [0, 1, 2]), few))
    large = replace(facts, samples=(50_000, 10_000, 10_000))
    assert precision_line(large, 0.92) == (
        "near 92 %, a difference of two accuracies has a standard error of at most 0.71 points on "
        "the 2,880 val samples that the search compares, 0.38 on test, which decides nothing and "
        "confirms"
    )
    assert "at most 24.49 points on the 3 val samples" in precision_line(facts)  # near 90 %


def test_samples_in_two_splits_are_counted(task: Task) -> None:
    train = _split([1, 2, 3, 3], [0, 1, 2, 2])
    val, test = _split([3, 4], [2, 0]), _split([4, 1, 1, 5], [0, 0, 0, 1])
    facts = data_facts(task, Dataset(train, val, test))
    assert facts.shared == (1, 2, 1)
    texts = _texts(facts)
    assert texts[0].startswith("1 of the 2 samples of val are also in train, byte for byte")
    assert texts[1].startswith("2 of the 4 samples of test are also in train")
    assert texts[2].startswith("1 of the 4 samples of test are also in val")


def test_equal_samples_of_other_labels_contradict(task: Task) -> None:
    train = _split([1, 1, 2, 2, 3], [0, 1, 2, 2, 0])
    facts = data_facts(task, Dataset(train, _split([4], [0]), _split([5], [0])))
    assert facts.contradicting == 2
    assert "2 samples of train have an equal sample with another label" in _texts(facts)


def test_missing_and_rare_classes_are_named(task: Task) -> None:
    labels = [0] * 30 + [1] * 2
    train = _split([float(i) for i in range(1, 33)], labels)
    facts = data_facts(task, Dataset(train, _split([40], [0]), _split([41], [2])))
    texts = _texts(facts)
    assert "train has no samples of 'c'" in texts
    assert "val has no samples of 'b', 'c'" in texts
    assert any("the most frequent class has 30 samples in train, 'b' (2) less" in t for t in texts)


def test_another_scale_of_a_split_is_told(task: Task) -> None:
    labels = [0, 1, 2]
    train = _split([0.1, 0.2, 1.0], labels)
    facts = data_facts(
        task, Dataset(train, _split([30, 60, 255], labels), _split([1, 2, 3], labels))
    )
    assert any("values of val reach 255, those of train 1" in text for text in _texts(facts))


def test_equal_inputs_are_told(task: Task) -> None:
    same = _split([1, 1, 1], [0, 1, 2])
    facts = data_facts(task, Dataset(same, _split([2], [0]), _split([3], [0])))
    assert "all samples of train are equal" in _texts(facts)


def test_the_standard_error_that_the_size_allows(task: Task) -> None:
    """Of 100 samples at 90 %: sqrt(0.9 * 0.1 / 100) = 3 points; 900 samples make it 1."""
    of = partial(_split, labels=[0] * 100)
    splits = [of([float(i + start) for i in range(100)]) for start in (1, 200, 400)]
    facts = data_facts(task, Dataset(*splits))
    assert not [text for text in _texts(facts) if "standard" in text]
    (text,) = [text for text in _texts(facts, 0.9) if "standard" in text]
    assert "has a standard error of 3.0 points" in text
    assert "900 samples make it 1 point" in text
