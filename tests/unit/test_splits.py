"""Halves of a split are alike and apart."""

import numpy as np

from compress.splits import halves
from compress.types import Split


def test_every_class_is_in_both_halves_and_no_sample_in_both() -> None:
    y = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 3, 1, 1])
    x = np.arange(12, dtype=np.float32)[:, None]
    first, second = halves(Split(x, y))
    assert sorted([*first.x[:, 0], *second.x[:, 0]]) == list(range(12))
    assert len(first) == len(second) == 6
    for label, samples in ((0, 4), (1, 4), (2, 3)):
        assert abs(int((first.y == label).sum()) - samples / 2) <= 0.5
    for half in (first, second):
        assert list(half.x[:, 0]) == sorted(half.x[:, 0])
        assert all(
            y[int(place)] == label for place, label in zip(half.x[:, 0], half.y, strict=True)
        )


def test_samples_without_a_class_alternate() -> None:
    y = np.linspace(0, 1, 5, dtype=np.float32)[:, None]
    first, second = halves(Split(y, y))
    assert first.y[:, 0].tolist() == [0.0, 0.5, 1.0]
    assert second.y[:, 0].tolist() == [0.25, 0.75]
