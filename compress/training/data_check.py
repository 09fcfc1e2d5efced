"""Whether a task's data are what training needs, and the same as before.

A task may be the user's own: what is wrong with its data is told in a line, before training.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from compress.errors import UserError
from compress.files import write_atomically
from compress.types import Dataset, Split, Task


def check_shape(task: Task) -> None:
    """Raises UserError for an input shape that is not (C, H, W)."""
    shape = task.input_shape
    if len(shape) != 3 or min(shape) < 1:
        raise UserError(
            f"task {task.name}: input_shape {shape}: must be (channels, height, width); a series "
            "may be (channels, 1, length), other inputs (features, 1, 1)"
        )


def check_data(task: Task, data: Dataset) -> None:
    """Raises UserError naming the split and what it must be: float32 samples (N, *input_shape),
    all finite, and int64 labels (N,) of the task's classes, N at least 1."""
    for name in ("train", "val", "test"):
        wrong = _wrong(getattr(data, name), task.input_shape, len(task.classes))
        if wrong:
            raise UserError(f"task {task.name}: {name} split: {wrong}")


def data_sha256(data: Dataset) -> str:
    """Hash of a task's samples and labels, split by split."""
    digest = hashlib.sha256()
    for split in (data.train, data.val, data.test):
        for array in (split.x, split.y):
            digest.update(f"{array.dtype} {array.shape} ".encode() + array.tobytes())
    return digest.hexdigest()


def check_same_data(task: Task, data: Dataset, weights: Path) -> None:
    """Raises UserError if the network in `weights` is known to have been trained on other data.

    Where that is not known, as of imported weights, these data are noted as theirs.
    """
    path = _hash_path(weights)
    if not path.is_file():
        note_data(data, weights)
    elif path.read_text(encoding="ascii") != data_sha256(data):
        raise UserError(
            f"{weights} was trained on other data than task {task.name} has now: results would "
            "not compare; choose another run folder, or bring back the former data"
        )


def note_data(data: Dataset, weights: Path) -> None:
    """Keep, beside `weights`, what data they were trained on; a reader never sees half of it."""
    path = _hash_path(weights)
    write_atomically(path, data_sha256(data).encode("ascii"))


def _hash_path(weights: Path) -> Path:
    return weights.with_suffix(".data")


def _wrong(split: Split, shape: tuple[int, ...], classes: int) -> str:
    """What is wrong with a split; "" if nothing is."""
    x, y = split.x, split.y
    if not isinstance(x, np.ndarray) or not isinstance(y, np.ndarray):
        return f"x and y are {type(x).__name__} and {type(y).__name__}; must be NumPy arrays"
    if x.dtype != np.float32 or x.shape[1:] != shape or len(x) < 1:
        return f"x is {x.dtype} {x.shape}; must be float32 (N, {', '.join(map(str, shape))}), N > 0"
    if y.dtype != np.int64 or y.shape != x.shape[:1]:
        return f"y is {y.dtype} {y.shape}; must be int64 ({len(x)},): the number of each class"
    if not np.isfinite(x).all():
        return "x has values that are not finite"
    if y.min() < 0 or y.max() >= classes:
        return f"labels from {y.min()} to {y.max()}; the task has {classes} classes, from 0 on"
    return ""
