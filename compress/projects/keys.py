"""The keys of a project file hil.toml, and the checks of their values.

The same checks serve the command line, whose options have the same names: lists may be written as
text with commas, and sizes as "32x32". Paths become absolute.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from compress.errors import UserError
from compress.files import TFLITE_SUFFIXES
from compress.model_files.onnx_file import ONNX_SUFFIXES
from compress.projects.output_values import ByOutput, pairs_of
from compress.types import Better, TaskType

PROJECT_FILE = "hil.toml"
FEATURES = ("mfcc", "raw")
COLORS = ("gray", "rgb")
TYPES = get_args(TaskType)
BETTER = get_args(Better)
MODEL_SUFFIXES = (*ONNX_SUFFIXES, *TFLITE_SUFFIXES)  # in lower or upper case

_CODE = re.compile(r"(?P<path>.+\.py)(:(?P<function>[A-Za-z_]\w*))?")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_MOST_PIXELS = 1024


@dataclass(frozen=True, slots=True)
class CodeRef:
    """A function of a Python file, as `net.py:build` names it; the path is absolute."""

    path: Path
    function: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands, for errors, and the folder that its relative paths start from."""

    text: str
    folder: Path

    def error(self, value: object, must: str) -> UserError:
        """The error for a value that is not what it must be."""
        return UserError(f"{self.text} {value!r}: {must}")


Check = Callable[[Any, Place], Any]


def _text(value: Any, place: Place) -> str:
    if not isinstance(value, str) or not value.strip():
        raise place.error(value, "must be a text")
    return value


def _run_name(value: Any, place: Place) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise place.error(value, "must be a name of letters, digits, _, - and dots, such as my-kws")
    return value


def _one_of(allowed: tuple[str, ...]) -> Check:
    def check(value: Any, place: Place) -> str:
        if value not in allowed:
            close = difflib.get_close_matches(str(value), allowed, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise place.error(value, f"allowed are {', '.join(allowed)}{hint}")
        return str(value)

    return check


def _number(value: Any, place: Place) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise place.error(value, "must be a number")
    return float(value)


def _floor(value: Any, place: Place) -> float | str:
    """A value of the metric, or text such as float-2%, relative to the float network."""
    if not isinstance(value, str):
        return _number(value, place)
    if value.startswith("float"):
        return value  # `hil.objective.floor` reads it
    try:
        return _number(float(value), place)
    except ValueError:
        raise place.error(
            value, "must be a number, or relative to the float network, as float-0.02 or float-2%"
        ) from None


def _positive(value: Any, place: Place) -> float:
    number = _number(value, place)
    if number <= 0:
        raise place.error(value, "must be more than 0")
    return number


def _not_negative(value: Any, place: Place) -> float:
    number = _number(value, place)
    if number < 0:
        raise place.error(value, "must not be negative")
    return number


def _count(value: Any, place: Place) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise place.error(value, "must be a whole number, at least 1")
    return value


def _path(value: Any, place: Place) -> Path:
    # A home that is not known stays as it is written: there is no such file then.
    return (place.folder / os.path.expanduser(_text(value, place))).resolve()


def _code(function: str) -> Check:
    def check(value: Any, place: Place) -> CodeRef:
        found = _CODE.fullmatch(_text(value, place))
        if not found:
            raise place.error(value, f"must be FILE.py:FUNCTION, such as net.py:{function}")
        return CodeRef(_path(found["path"], place), found["function"] or function)

    return check


def _model(value: Any, place: Place) -> CodeRef | Path:
    path = _path(value, place)
    if path.suffix.lower() in MODEL_SUFFIXES:
        return path
    if not _CODE.fullmatch(value):
        raise place.error(
            value,
            "must be FILE.py:FUNCTION, such as net.py:build, or the file of a float model "
            f"({', '.join(MODEL_SUFFIXES)})",
        )
    found: CodeRef = _code("build")(value, place)
    return found


def _data(value: Any, place: Place) -> CodeRef | Path:
    if _CODE.fullmatch(_text(value, place)):
        found: CodeRef = _code("load")(value, place)
        return found
    return _path(value, place)


def _metric(value: Any, place: Place) -> str | CodeRef:
    if ".py" not in _text(value, place):
        return str(value)
    found: CodeRef = _code("metric")(value, place)
    return found


def _names(value: Any, place: Place) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(
        isinstance(name, str) and name.strip() for name in names
    ):
        raise place.error(value, 'must be a list of names, such as ["cat", "dog"]')
    stripped = tuple(name.strip() for name in names)
    if len(set(stripped)) != len(stripped) or not stripped:
        raise place.error(value, "must be names that differ, at least one")
    return stripped


def _numbers(value: Any, place: Place) -> tuple[float, ...]:
    numbers = value if isinstance(value, list | tuple) else [value]
    if isinstance(value, str):
        try:
            numbers = [float(part) for part in value.split(",")]
        except ValueError:
            raise place.error(value, "must be numbers, one for each channel, as 0.5,0.4") from None
    if not numbers:
        raise place.error(value, "must be a number, or one for each channel")
    return tuple(_number(number, place) for number in numbers)


def _positive_numbers(value: Any, place: Place) -> tuple[float, ...]:
    numbers = _numbers(value, place)
    if min(numbers) <= 0:
        raise place.error(value, "must be more than 0")
    return numbers


def _or_by_output(check: Check) -> Check:
    """The check of one value, or of a table with one for each of several outputs."""

    def checked(value: Any, place: Place) -> Any:
        pairs = pairs_of(value)
        if pairs is None:
            return check(value, place)
        return tuple((name, check(one, place)) for name, one in pairs)

    return checked


def _loss_weights(value: Any, place: Place) -> ByOutput:
    pairs = pairs_of(value)
    if not pairs:
        raise place.error(value, "must be a table, such as {shape = 1.0, box = 2.0}")
    return tuple((name, _positive(one, place)) for name, one in pairs)


def _size(value: Any, place: Place) -> tuple[int, int]:
    parts = value.lower().split("x") if isinstance(value, str) else value
    if isinstance(parts, int):
        parts = [parts]
    try:
        sizes = [int(part) for part in parts]
    except (TypeError, ValueError):
        sizes = []
    if len(sizes) not in (1, 2) or not all(1 <= size <= _MOST_PIXELS for size in sizes):
        raise place.error(value, f"must be HEIGHTxWIDTH in pixels up to {_MOST_PIXELS}, as 32x32")
    return sizes[0], sizes[-1]


TASK_KEYS: Mapping[str, Check] = {
    "name": _run_name,
    "title": _text,
    "model": _model,
    "data": _data,
    "weights": _path,
    "type": _or_by_output(_one_of(TYPES)),
    "metric": _metric,
    "better": _one_of(BETTER),
    "floor": _floor,
    "classes": _or_by_output(_names),
    "mean": _numbers,
    "std": _positive_numbers,
    "features": _one_of(FEATURES),
    "image_size": _size,
    "color": _one_of(COLORS),
    "device_samples": _count,
}
TRAINING_KEYS: Mapping[str, Check] = {
    "epochs": _count,
    "batch": _count,
    "learning_rate": _positive,
    "weight_decay": _not_negative,
    "samples_per_epoch": _count,
    "huber_delta": _positive,
    "loss_weights": _loss_weights,
    "fine_tune_epochs": _count,
    "fine_tune_learning_rate": _positive,
    "fine_tune_samples_per_epoch": _count,
}
# The options of `hil evolve` that are not of the task; their values are checked as options are.
SEARCH_KEYS = (
    "board",
    "minutes",
    "trials",
    "patience",
    "seed",
    "run",
    "max_flash",
    "max_ram",
    "max_latency",
    "max_energy",
    "prefer",
    "energy_budget",
    "confidence",
    "near",
    "engine",
    "farm",
    "processes",
    "limits",
)
SECTIONS: Mapping[str, Iterable[str]] = {
    "task": TASK_KEYS,
    "training": TRAINING_KEYS,
    "search": SEARCH_KEYS,
}


def checked_values(values: Mapping[str, Any], folder: Path, where: str) -> dict[str, Any]:
    """The values of the sections task and training, checked, with absolute paths.

    `where`, with {} for the key, is how an error names it. Raises UserError for a bad value.
    """
    checks = {**TASK_KEYS, **TRAINING_KEYS}
    return {
        key: checks[key](value, Place(where.format(key), folder)) for key, value in values.items()
    }


def unknown_key(name: str, allowed: Iterable[str]) -> str:
    """What to say of a key that is not allowed: the one that was meant, or all of them."""
    names = list(allowed)
    close = difflib.get_close_matches(name, names, 1)
    return f"did you mean {close[0]}?" if close else f"allowed are {', '.join(names)}"
