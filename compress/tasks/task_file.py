"""Load a user's task from a Python file that defines `TASK`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from compress.errors import UserError
from compress.types import Task
from compress.user_file import run_user_file


def load_task_file(path: Path) -> Task:
    """The `TASK` of the file, with the hash of the file's path and text as its `source`.

    The file runs once per process and text.
    Raises UserError for a file that cannot be read, does not parse, raises, or has no `TASK`.
    """
    path = path.resolve()
    module, key = run_user_file(path, "task file", "TASK")
    task = getattr(module, "TASK", None)
    if task is None:
        raise UserError(
            f"task file {path} defines no TASK: add TASK = Task(...) of compress.types, as in "
            "docs/own-network.md"
        )
    if not isinstance(task, Task):
        raise UserError(
            f"task file {path}: TASK is of type {type(task).__name__}, must be a "
            "compress.types.Task, as in docs/own-network.md"
        )
    return replace(task, source=key)
