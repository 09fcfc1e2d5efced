"""The targets y of a task of one output or several, from the arrays that users have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from compress.errors import UserError
from compress.outputs import by_output, names_in
from compress.projects.output_values import TaskTypes
from compress.projects.targets import labels_of
from compress.types import Array, Output

_POSITIONS = ("segmentation",)  # types whose outputs have the positions of their targets


@dataclass(frozen=True, slots=True, eq=False)
class ProjectTargets:
    """The targets of all samples, and the names of the outputs.

    Several outputs have `outputs`, and no `classes`. `named` are the outputs whose labels are text,
    ("",) for an only one.
    """

    y: Array
    classes: tuple[str, ...] = ()
    outputs: tuple[Output, ...] = ()
    named: tuple[str, ...] = ()


def targets_of(given: Sequence[Any], kind: TaskTypes, where: str) -> ProjectTargets:
    """The targets in `given`, one array or dict of arrays after the other.

    Raises UserError, beginning with `where`, for other outputs than the type has, another shape or
    type of array.
    """
    if isinstance(kind, str):
        for one in given:
            if names := _names(one):
                raise UserError(
                    f"{where} has several arrays, {', '.join(names)}: name the type of each, "
                    f"type = {{{', '.join(f'{name} = ...' for name in names)}}}; or give one array"
                )
        joined = _joined(given, where)
        y, classes = labels_of(joined, kind, where)
        return ProjectTargets(y, classes, named=("",) if joined.dtype.kind == "U" else ())
    wanted = [name for name, _ in kind]
    for one in given:
        found = _names(one)
        if sorted(found) != sorted(wanted):
            raise UserError(
                f"{where} has {'arrays ' + ', '.join(found) if found else 'one array'}; the "
                f"outputs are {', '.join(wanted)}: give an array for each, y_{wanted[0]} or "
                f"y_train_{wanted[0]} and so on, or a dict of them"
            )
    parts, outputs, named = dict[str, Array](), [], []
    for name, type_ in kind:
        joined = _joined([one[name] for one in given], f"{where}_{name}")
        y, classes = labels_of(joined, type_, f"{where}_{name}")
        parts[name] = y
        outputs.append(_output(Output(name, type_, classes), y))
        named += [name] if joined.dtype.kind == "U" else []
    return ProjectTargets(by_output(parts), (), tuple(outputs), tuple(named))


def _output(output: Output, y: Array) -> Output:
    """The output with the shape that its classes and targets y have."""
    positions = y.shape[1:] if output.type in _POSITIONS else ()
    return replace(output, shape=(len(output.classes), *positions))


def renamed(output: Output, classes: tuple[str, ...]) -> Output:
    """The output with other names of its classes, at least as many."""
    return replace(output, classes=classes, shape=(len(classes), *output.shape[1:]))


def lengths_of(y: Any) -> list[int]:
    """The samples of each array of targets."""
    parts = [y[name] for name in _names(y)] if isinstance(y, Mapping) else [y]
    return [len(np.atleast_1d(part)) for part in parts]


def _names(y: Any) -> tuple[str, ...]:
    """The names of the arrays in a dict or structured array; none for a plain one."""
    if isinstance(y, Mapping):
        return tuple(str(name) for name in y)
    return names_in(np.asarray(y))


def _joined(parts: Sequence[Any], where: str) -> Array:
    try:
        return np.concatenate([np.asarray(part) for part in parts])
    except ValueError as error:
        raise UserError(f"{where} of the splits do not agree: {error}") from error
