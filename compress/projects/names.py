"""Names of a task's outputs: those that a project gives, fitted to those of its data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compress.errors import UserError
from compress.projects.arrays import ProjectData
from compress.types import Dataset, Split


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
