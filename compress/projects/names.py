"""Names of a task's outputs: those that a project gives, fitted to those of its data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compress.errors import UserError
from compress.outputs import of_output
from compress.projects.arrays import ProjectData
from compress.projects.output_targets import renamed
from compress.projects.output_values import ByOutput
from compress.types import Dataset, Split


def with_output_names(found: ProjectData, names: ByOutput | None) -> ProjectData:
    """The data of several outputs, with `names` for those that these name, as `with_names`."""
    for name, classes in names or ():
        output = next((one for one in found.outputs if one.name == name), None)
        if output is None:
            known = ", ".join(one.name for one in found.outputs)
            raise UserError(f"classes: there is no output {name}; outputs are {known}")
        named = name in found.named_outputs
        part = with_names(
            ProjectData(_parts(found.data, name), output.classes, named=named), classes
        )
        outputs = [renamed(one, part.classes) if one == output else one for one in found.outputs]
        data = _with_parts(found.data, name, part.data)
        found = replace(found, data=data, outputs=tuple(outputs))
    return found


def _parts(data: Dataset, name: str) -> Dataset:
    """The data with the targets of one output alone."""
    splits = (data.train, data.val, data.test)
    return Dataset(*(Split(one.x, of_output(one.y, name)) for one in splits))


def _with_parts(data: Dataset, name: str, part: Dataset) -> Dataset:
    """The data with the targets of `part` as those of one output."""
    splits = []
    for whole, new in zip(
        (data.train, data.val, data.test), (part.train, part.val, part.test), strict=True
    ):
        y = whole.y.copy()
        y[name] = new.y
        splits.append(Split(whole.x, y))
    return Dataset(*splits)


def with_names(found: ProjectData, names: tuple[str, ...] | None) -> ProjectData:
    """The data with the outputs called `names`, in their order; as they are if it is None.

    Where the data have names of their own, `names` puts them into another order. Raises UserError
    for names that differ from those of the data, or fewer than it has classes.
    """
    if names is None or names == found.classes:
        return found
    if not found.named:
        if len(names) < len(found.classes):
            raise UserError(
                f"classes: {len(names)} names, but the data have {len(found.classes)} classes or "
                "outputs: name all"
            )
        return replace(found, classes=names)
    if set(names) != set(found.classes):
        raise UserError(
            f"classes: {', '.join(names)}: the data have {', '.join(found.classes)}: give these "
            "names in the order of the network's outputs, or leave classes out"
        )
    order = np.array([names.index(name) for name in found.classes], np.int64)
    data = found.data
    train, val, test = (Split(one.x, order[one.y]) for one in (data.train, data.val, data.test))
    return replace(found, data=Dataset(train, val, test), classes=names)
