"""Checks of a task's data before training: shapes, types, values, and the same data as before.

A task may be the user's own, so errors name the task and the split and say what is needed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from compress.errors import UserError
from compress.files import write_atomically
from compress.inputs import dtype_of, names_of, parts_of, shapes_of
from compress.metrics.judge import value_of
from compress.metrics.registry import is_known, metric_of
from compress.task_types.registry import rules_of
from compress.task_types.rules import Rules
from compress.types import Array, Dataset, InputShape, Split, Task


def check_shape(task: Task) -> None:
    """Check the input shape. Raises UserError unless it is (C, H, W), (C, L) or (K,).

    So each of several inputs must be; their names differ, and an autoencoder has one.
    """
    names, shapes = names_of(task.input_shape), shapes_of(task.input_shape)
    for shape in shapes:
        if not 1 <= len(shape) <= 3 or min(shape) < 1:
            raise UserError(
                f"task {task.name}: input_shape {shape}: must be (channels, height, width), a "
                "series (channels, length) or a vector (features,)"
            )
    if len(set(names)) < len(names):
        raise UserError(f"task {task.name}: inputs {', '.join(names)}: two have the same name")
    if len(names) > 1 and task.type == "autoencoder":
        raise UserError(
            f"task {task.name}: inputs {', '.join(names)}: an autoencoder has one, which it answers"
        )


def check_data(task: Task, data: Dataset) -> None:
    """Check each split: N > 0 finite float32 samples (N, *input_shape), and y as the type has it.

    The metric must be defined on the validation and test splits, where it is one of the type's own.
    Raises UserError naming the split, what it is and what it must be.
    """
    rules = rules_of(task)
    for name in ("train", "val", "test"):
        split = getattr(data, name)
        wrong = _wrong(split, task.input_shape, rules)
        if not wrong and name == "train":
            wrong = rules.wrong_training(split)
        if wrong:
            raise UserError(f"task {task.name}: {name} split: {wrong}")
    _check_metric(task, rules, data)


def _check_metric(task: Task, rules: Rules, data: Dataset) -> None:
    """Check that a metric of the type is defined, whatever the outputs are. Raises UserError."""
    metric = metric_of(task)
    if not is_known(task, metric):
        return
    answer = rules.constants(data.train)[0]
    for name in ("val", "test"):
        split = getattr(data, name)
        outputs = np.broadcast_to(answer, (len(split), *answer.shape))
        try:
            value_of(metric, outputs, split.y, split.x)
        except UserError as error:
            raise UserError(f"task {task.name}: {name} split: {error}") from error


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


def _wrong(split: Split, shape: InputShape, rules: Rules) -> str:
    """The first thing wrong with a split; '' if nothing is."""
    x, y = split.x, split.y
    if not isinstance(x, np.ndarray) or not isinstance(y, np.ndarray):
        return f"x and y are {type(x).__name__} and {type(y).__name__}; must be NumPy arrays"
    if names_of(shape):
        if x.dtype != dtype_of(shape) or x.ndim != 1 or len(x) < 1:
            return (
                f"x has {_fields(x)}; must have {_fields(np.empty(1, dtype_of(shape)))}, N > 0: "
                "compress.inputs.structured makes it"
            )
    elif x.dtype != np.float32 or x.shape[1:] != shape or len(x) < 1:
        return f"x is {x.dtype} {x.shape}; must be float32 (N, {', '.join(map(str, shape))}), N > 0"
    for name, part in zip(names_of(shape) or ("x",), parts_of(x), strict=True):
        if not np.isfinite(part).all():
            return f"{name} has values that are not finite"
    return rules.wrong_labels(split)


def _fields(x: Array) -> str:
    """The fields of samples of several inputs, in words: "image float32 (3, 32, 32)"."""
    if x.dtype.names is None:
        return f"no fields, it is {x.dtype} {x.shape}"
    kinds = [(name, x.dtype[name]) for name in x.dtype.names]
    return "fields " + ", ".join(f"{name} {kind.base} {kind.shape}" for name, kind in kinds)
