"""Checks of a task's data before training: shapes, types, values, and the same data as before.

A task may be the user's own, so errors name the task and the split and say what is needed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from compress.errors import UserError
from compress.files import write_atomically
from compress.types import Dataset, Split, Task


def check_shape(task: Task) -> None:
    """Check the input shape. Raises UserError unless it is (C, H, W), (C, L) or (K,)."""
    shape = task.input_shape
    if not 1 <= len(shape) <= 3 or min(shape) < 1:
        raise UserError(
            f"task {task.name}: input_shape {shape}: must be (channels, height, width), a series "
            "(channels, length) or a vector (features,)"
        )


def check_data(task: Task, data: Dataset) -> None:
    """Check each split: finite float32 samples (N, *input_shape), int64 labels (N,), N at least 1.

    Raises UserError naming the split, what it is and what it must be.
    """
    for name in ("train", "val", "test"):
        wrong = _wrong(getattr(data, name), task.input_shape, len(task.classes))
        if wrong:
            raise UserError(f"task {task.name}: {name} split: {wrong}")


def data_sha256(data: Dataset) -> str:
    """SHA-256 of the samples and labels of all splits, with their types and shapes."""
    digest = hashlib.sha256()
    for split in (data.train, data.val, data.test):
        for array in (split.x, split.y):
            digest.update(f"{array.dtype} {array.shape} ".encode() + array.tobytes())
    return digest.hexdigest()


def check_same_data(task: Task, data: Dataset, network_path: Path) -> None:
    """Check that the network in the file was trained on `data`. Raises UserError if it was not.

    Where no hash of its data exists, as for an imported network, that of `data` is recorded.
    """
    path = _hash_path(network_path)
    if not path.is_file():
        record_data_hash(data, network_path)
    elif path.read_text(encoding="ascii") != data_sha256(data):
        raise UserError(
            f"{network_path} was trained on other data than task {task.name} has now: results "
            "would not compare; choose another run folder, or restore the former data"
        )


def record_data_hash(data: Dataset, network_path: Path) -> None:
    """Write the hash of the training data next to the file of the network."""
    write_atomically(_hash_path(network_path), data_sha256(data).encode("ascii"))


def _hash_path(network_path: Path) -> Path:
    return network_path.with_suffix(".data")


def _wrong(split: Split, shape: tuple[int, ...], classes: int) -> str:
    """The first thing wrong with a split; '' if nothing is."""
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
