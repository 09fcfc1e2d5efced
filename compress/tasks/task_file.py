"""Load a user's task from a Python file that defines `TASK`."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

from compress.errors import UserError
from compress.types import Dataset, Task
from compress.user_file import run_user_file, run_user_function

_loaded: dict[str, Task] = {}  # by the hash of path and text


def load_task_file(path: Path) -> Task:
    """The `TASK` of the file, with the hash of the file's path and text as its `source`.

    The file runs once per process and text.
    Raises UserError for a file that cannot be read, does not parse, raises, or has no `TASK`; so
    do the task's `net` and `load` where the file's raise.
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
    if key not in _loaded:
        _loaded[key] = replace(
            task,
            source=key,
            net=functools.partial(run_user_function, path, task.net, f"task file {path}: net"),
            load=functools.partial(_load, path, task),
        )
    return _loaded[key]


def _load(path: Path, task: Task) -> Dataset:
    """The data. Raises UserError if the file's function raises, or answers with something else."""
    where = f"task file {path}: load"
    found: object = run_user_function(path, task.load, where)
    if not isinstance(found, Dataset):
        raise UserError(
            f"{where} gives a {type(found).__name__}, must be a compress.types.Dataset, as in "
            "docs/own-network.md"
        )
    return found
