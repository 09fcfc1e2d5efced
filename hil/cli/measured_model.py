"""What `hil bench` measures: a model that is named, or a project that options or hil.toml give."""

from __future__ import annotations

from pathlib import Path

from compress.errors import UserError
from compress.projects.find import TaskRef
from hil.cli.task_options import TaskChoice


def what_to_measure(
    what: str | None, chosen: TaskChoice, data: str | None
) -> tuple[TaskRef, Path | None]:
    """The model, and the file of inputs if one is given: --data is a project's data without MODEL.

    Raises UserError if nothing is named, or both MODEL and a project.
    """
    parts = {name: value for name, value in chosen.parts.items() if name != "data"}
    if what is not None:
        if parts or chosen.task is not None:
            option = next(iter(parts), "task").replace("_", "-")
            raise UserError(f"{what} and --{option}: name one network, by MODEL or by options")
        return what, None if data is None else Path(data)
    if not (parts or TaskChoice(chosen.task, {}).is_given):
        raise UserError("MODEL is missing: hil bench MODEL, or hil bench --compare OLD NEW")
    return chosen.ref(), None
