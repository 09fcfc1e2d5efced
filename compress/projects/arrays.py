"""What a user's function or .npz file gives, as the splits of a task's data.

Accepted are a `Dataset`; arrays x_train, y_train, x_val, y_val, x_test, y_test, by these names or
as a tuple in this order; and x, y, with groups if samples belong together, which are split here.
The x of several inputs are a dict of arrays, or arrays x_train_image, x_train_numbers and so on; so
are the y of several outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compress.errors import UserError
from compress.inputs import parts_of, shape_of_samples, shape_words, structured
from compress.npz_file import read_npz
from compress.projects.output_targets import ProjectTargets, lengths_of, targets_of
from compress.projects.output_values import TaskTypes
from compress.projects.splitting import split_samples
from compress.types import Array, Dataset, Output, Split

NAMES = ("train", "val", "test")
SIX = tuple(f"{part}_{name}" for name in NAMES for part in "xy")
_FORMS = (
    f"a compress.types.Dataset, arrays {', '.join(SIX)} (a dict or a tuple in this order), or x, y "
    "(a dict, which may have groups, or a tuple)"
)


@dataclass(frozen=True, slots=True, eq=False)
class ProjectData:
    """The data of a task: splits before scaling, names of the outputs, and what to tell.

    The names are those of the data (of folders, or labels that are text) if they are `named`, else
    numbers. `images` are pixels of 0 to 1, `features` those computed of sounds. Several `outputs`
    have the names of each; those of `named_outputs` are of the data.
    """

    data: Dataset
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    named: bool = False
    images: bool = False
    features: str | None = None
    outputs: tuple[Output, ...] = ()
    named_outputs: tuple[str, ...] = ()


def arrays_of(found: Any, where: str, kind: TaskTypes) -> ProjectData:
    """The data in what a function answered, which `where` names, for a task of type `kind`.

    Raises UserError for another form, shape or type.
    """
    if isinstance(found, Dataset):
        found = {
            f"{part}_{name}": getattr(getattr(found, name), part) for name in NAMES for part in "xy"
        }
    elif isinstance(found, tuple | list) and len(found) in (2, len(SIX)):
        found = dict(zip(SIX if len(found) == len(SIX) else ("x", "y"), found, strict=True))
    if not isinstance(found, Mapping):
        size = f" of {len(found)}" if isinstance(found, tuple | list) else ""
        raise UserError(f"{where} gives a {type(found).__name__}{size}: needed is {_FORMS}")
    return _named_arrays({str(name): value for name, value in found.items()}, where, kind)


def npz_data(path: Path, kind: TaskTypes) -> ProjectData:
    """The data of an .npz file. Raises UserError for another file, array name, shape or type."""
    where = f"data: {path}"
    try:
        found: dict[str, Any] = dict(read_npz(path))
    except OSError as error:
        raise UserError(f"{where}: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(
            f"{where}: not an .npz of plain arrays ({error}): write it with numpy.savez, without "
            "objects"
        ) from error
    return _named_arrays(found, where, kind)


def _named_arrays(found: dict[str, Any], where: str, kind: TaskTypes) -> ProjectData:
    found = _gathered(found)
    if "x" in found and "y" in found:
        return _one_set(found, where, kind)
    missing = [name for name in SIX if name not in found]
    if missing:
        there = ", ".join(found) or "none"
        raise UserError(
            f"{where} has arrays {there}; missing {_are(missing)}: needed are {', '.join(SIX)}, or "
            "x and y, and groups if samples belong together"
        )
    x = {name: samples_of(found[f"x_{name}"], f"{where}: x_{name}") for name in NAMES}
    shapes = {name: shape_of_samples(array) for name, array in x.items()}
    for name in NAMES:
        _check_equally_many(x[name], found[f"y_{name}"], f"{where}: x_{name}, y_{name}")
        if shapes[name] != shapes["train"]:
            raise UserError(
                f"{where}: samples of x_{name} are {shape_words(shapes[name])}, those of x_train "
                f"{shape_words(shapes['train'])}: all must have one shape"
            )
    lengths = np.cumsum([len(x[name]) for name in NAMES])[:-1]
    made = targets_of([found[f"y_{name}"] for name in NAMES], kind, f"{where}: y")
    train, val, test = (
        Split(x[name], part) for name, part in zip(NAMES, np.split(made.y, lengths), strict=True)
    )
    return _project_data(Dataset(train, val, test), made)


def _gathered(found: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays with those of several inputs, as x_train_image, as a dict below x_train.

    So are those of several outputs, as y_train_shape or y_shape.
    """
    gathered = dict(found)
    splits = tuple(f"y_{name}" for name in NAMES)
    for whole in (*splits, "y"):
        names = [name for name in gathered if name.startswith(f"{whole}_")]
        names = [name for name in names if whole in splits or not name.startswith(splits)]
        _gather(gathered, whole, names)
    for whole in ("x",) if "y" in gathered else [f"x_{name}" for name in NAMES]:
        _gather(gathered, whole, [name for name in found if name.startswith(f"{whole}_")])
    return gathered


def _gather(gathered: dict[str, Any], whole: str, names: list[str]) -> None:
    """Put the arrays of these names below `whole`, unless there is one of that name."""
    if names and whole not in gathered:
        gathered[whole] = {name.removeprefix(f"{whole}_"): gathered.pop(name) for name in names}


def _project_data(data: Dataset, made: ProjectTargets, notes: tuple[str, ...] = ()) -> ProjectData:
    return ProjectData(
        data,
        made.classes,
        notes,
        named=made.named == ("",),
        outputs=made.outputs,
        named_outputs=made.named if made.outputs else (),
    )


def _one_set(found: Mapping[str, Any], where: str, kind: TaskTypes) -> ProjectData:
    x = samples_of(found["x"], f"{where}: x")
    _check_equally_many(x, found["y"], f"{where}: x, y")
    made = targets_of([found["y"]], kind, f"{where}: y")
    groups = None if "groups" not in found else np.asarray(found["groups"])
    if groups is not None and groups.shape != (len(x),):
        raise UserError(f"{where}: groups is {groups.shape}, must be ({len(x)},): one per sample")
    data, note = split_samples(x, made.y, groups, made.classes, kind, where)
    return _project_data(data, made, (note,))


def samples_of(found: Any, where: str) -> Array:
    """Samples float32 (N, ...), contiguous, of numbers of any type. Raises UserError.

    Those of several inputs, a dict or a structured array, become one array (`compress.inputs`).
    """
    if isinstance(found, Mapping):
        parts = {str(name): samples_of(part, f"{where}_{name}") for name, part in found.items()}
        if len({len(part) for part in parts.values()}) != 1:
            sizes = ", ".join(f"{len(part)} of {name}" for name, part in parts.items())
            raise UserError(f"{where} has samples {sizes or 'of no input'}: must be equally many")
        return structured(parts)
    array = np.asarray(found)
    if array.dtype.names is not None:
        fields = zip(array.dtype.names, parts_of(array), strict=True)
        return samples_of(dict(fields), where)
    if array.dtype.kind not in "fiu":
        raise UserError(
            f"{where} is of type {array.dtype}: must be numbers, float32 (N, channels, height, "
            "width), (N, channels, length) or (N, features)"
        )
    if array.ndim < 2 or len(array) < 1:
        raise UserError(
            f"{where} is {array.shape}: must be (N, channels, height, width), (N, channels, "
            "length) or (N, features), N at least 1"
        )
    samples: Array = np.ascontiguousarray(array, dtype=np.float32)
    return samples


def _check_equally_many(x: Array, y: Any, where: str) -> None:
    for count in lengths_of(y):
        if count != len(x):
            raise UserError(f"{where}: {len(x)} samples and {count} labels: must be equally many")


def _are(names: list[str]) -> str:
    return f"{'is' if len(names) == 1 else 'are'} {', '.join(names)}"
