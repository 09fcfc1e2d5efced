"""The smartwatch recordings: the packaged file, and small files of its form."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest

from compress.datasets import watch
from compress.errors import UserError
from helpers.published_data import watch_data, write_object_npy


def packaged() -> bool:
    try:
        distribution("seglearn")
    except PackageNotFoundError:
        return False
    return True


def test_recordings_of_a_small_file(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    data = watch_data(3, 50)
    write_object_npy(path, data)
    recordings = watch.read_recordings(path)
    assert [(r.subject, r.exercise) for r in recordings] == [
        (subject, exercise) for subject in (1, 2, 3) for exercise in range(7)
    ]
    assert isinstance(data["X"], list)
    for recording, x in zip(recordings, data["X"], strict=True):
        np.testing.assert_array_equal(recording.x, x.astype(np.float32))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"X_labels": ["ax"]}, "other channels"),
        ({"y": np.arange(20)}, "differ in length"),
        ({"y": np.arange(21)}, "exercise 7"),
        ({"X": [np.zeros((4, 5))] * 21}, "recording 0: no finite values"),
        ({"X": [np.full((4, 6), np.nan)] * 21}, "recording 0: no finite values"),
        ({"subject": None}, "no dict with"),
    ],
)
def test_files_of_another_form(tmp_path: Path, change: dict[str, object], why: str) -> None:
    path = tmp_path / "a.npy"
    data = {**watch_data(3, 4), **change}
    write_object_npy(path, {name: value for name, value in data.items() if value is not None})
    with pytest.raises(UserError, match=f"damaged data file {path}: .*{why}"):
        watch.read_recordings(path)


def test_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(watch, "distribution", missing)
    with pytest.raises(UserError, match="pip install seglearn"):
        watch.find_file()


@pytest.mark.skipif(not packaged(), reason="the package seglearn is not installed")
def test_the_packaged_recordings() -> None:
    """Facts that seglearn's documentation states: 140 series of ten subjects, seven exercises."""
    recordings = watch.read_recordings(watch.find_file())
    assert len(recordings) == 140
    assert Counter((r.subject, r.exercise) for r in recordings) == {
        (subject, exercise): 2 for subject in range(1, 11) for exercise in range(7)
    }
    standard = np.load(watch.find_file(), allow_pickle=True).item()
    for recording, x in zip(recordings, standard["X"], strict=True):
        np.testing.assert_array_equal(recording.x, x.astype(np.float32))
