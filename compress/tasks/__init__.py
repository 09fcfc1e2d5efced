"""The tasks that ship with the project, by name. A task is one module with a `TASK`."""

from importlib import import_module

from compress.errors import UserError
from compress.types import Task

TASK_NAMES = ("digits", "kws")


def get_task(name: str) -> Task:
    """The task called `name`. Raises UserError, naming the allowed set, for any other name."""
    if name not in TASK_NAMES:
        raise UserError(f"unknown task {name!r}: allowed are {', '.join(TASK_NAMES)}")
    task = import_module(f"compress.tasks.{name}").TASK
    if not isinstance(task, Task):
        raise TypeError(f"compress.tasks.{name}.TASK is not a Task")
    return task
