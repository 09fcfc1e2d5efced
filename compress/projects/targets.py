"""The targets y of a task by its type, from the arrays that users have."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from compress.errors import UserError
from compress.types import Array, TaskType

Targets = tuple[Array, tuple[str, ...]]

_LARGEST_LABEL = 0xFFFF  # the firmware's labels are u16


def labels_of(y: Array, kind: TaskType, where: str) -> Targets:
    """The targets in the form that a task of type `kind` has, and names of its outputs.

    Raises UserError, beginning with `where`, for another shape or type.
    """
    return _TARGETS[kind](y, where)


def _class_numbers(y: Array, where: str) -> Targets:
    """Labels int64 (N,): numbers from 0 on, or names, whose sorted order gives their numbers."""
    if y.ndim == 2 and y.shape[1] > 1:
        raise UserError(
            f"{where} is {y.shape}: must be (N,), the number of each sample's class; of one-hot "
            "rows that is y.argmax(1)"
        )
    flat = y.reshape(len(y)) if y.ndim == 2 else y
    if flat.ndim != 1:
        raise UserError(f"{where} is {y.shape}: must be (N,), the number of each sample's class")
    if flat.dtype.kind == "U":
        names, numbers = np.unique(flat, return_inverse=True)
        return numbers.astype(np.int64), tuple(str(name) for name in names)
    labels = _whole(flat, where)
    if labels.max() > _LARGEST_LABEL:
        raise UserError(f"{where} has labels up to {labels.max()}: at most {_LARGEST_LABEL}")
    return labels, tuple(str(number) for number in range(int(labels.max()) + 1))


def _whole(y: Array, where: str) -> Array:
    """Class numbers int64 of an array of whole numbers from 0 on. Raises UserError."""
    if y.dtype.kind not in "iub" and not (y.dtype.kind == "f" and np.all(y == np.round(y))):
        raise UserError(f"{where} is of type {y.dtype}: labels must be whole numbers or names")
    labels: Array = y.astype(np.int64)
    if labels.min() < 0:
        raise UserError(f"{where} has labels from {labels.min()} on: they must begin at 0")
    return labels


def _yes_or_no(y: Array, where: str) -> Targets:
    """Labels float32 (N, K) of 0 and 1, for each of K independent answers."""
    if y.ndim != 2 or y.dtype.kind not in "iubf" or not np.isin(y, (0, 1)).all():
        raise UserError(f"{where} is {y.dtype} {y.shape}: must be 0 or 1 of shape (N, labels)")
    return y.astype(np.float32), tuple(str(number) for number in range(y.shape[1]))


def _values(y: Array, where: str) -> Targets:
    """Values float32 (N, K); (N,) is taken as (N, 1)."""
    columns = y.reshape(-1, 1) if y.ndim == 1 else y
    if columns.ndim != 2 or columns.dtype.kind not in "iuf":
        raise UserError(f"{where} is {y.dtype} {y.shape}: must be numbers (N,) or (N, values)")
    return columns.astype(np.float32), tuple(str(number) for number in range(columns.shape[1]))


def _normal_or_not(y: Array, where: str) -> Targets:
    """Labels int64 (N,): 0 normal, 1 anomalous."""
    if y.ndim != 1 or y.dtype.kind not in "iubf" or not np.isin(y, (0, 1)).all():
        raise UserError(f"{where} is {y.dtype} {y.shape}: must be (N,), 0 normal or 1 anomalous")
    return y.astype(np.int64), ("normal", "anomalous")


def _class_maps(y: Array, where: str) -> Targets:
    """Labels int64 (N, H, W): the class of each pixel."""
    if y.ndim != 3:
        raise UserError(
            f"{where} is {y.shape}: must be (N, height, width), the class of each pixel"
        )
    labels = _whole(y, where)
    if labels.max() > _LARGEST_LABEL:
        raise UserError(f"{where} has labels up to {labels.max()}: at most {_LARGEST_LABEL}")
    return labels, tuple(str(number) for number in range(int(labels.max()) + 1))


_TARGETS: Mapping[TaskType, Callable[[Array, str], Targets]] = {
    "classification": _class_numbers,
    "multi_label": _yes_or_no,
    "regression": _values,
    "autoencoder": _normal_or_not,
    "segmentation": _class_maps,
}
