"""The tasks that a search can be given: those of this folder by name, a user's by file.

A module of this folder is a task if one of its lines begins with `TASK = Task(`. A user's task is
a Python file that defines `TASK`, given by its path. Neither needs an entry in a list.
"""

from importlib import import_module
from pathlib import Path

from compress.errors import UserError
from compress.tasks.task_file import load_task_file
from compress.types import Task


def _find_names(folder: Path) -> tuple[str, ...]:
    """Sorted names of the modules that define a task; read as text, as importing them is slow."""
    modules = sorted(folder.glob("*.py"))
    return tuple(path.stem for path in modules if "\nTASK = Task(" in path.read_text("utf-8"))


TASK_NAMES = _find_names(Path(__file__).parent)


def get_task(name: str) -> Task:
    """The task called `name`, or defined by the file `name` if that ends in .py.

    Raises UserError for an unknown name, and for a file that `load_task_file` refuses.
    """
    check_task_name(name)
    if is_task_file(name):
        return load_task_file(Path(name))
    task = import_module(f"compress.tasks.{name}").TASK
    if not isinstance(task, Task):
        raise TypeError(f"compress.tasks.{name}.TASK is not a Task")
    return task


def check_task_name(name: str) -> None:
    """Raise UserError for a name that is neither a task's nor that of a file; imports nothing."""
    if not is_task_file(name) and name not in TASK_NAMES:
        raise UserError(
            f"unknown task {name!r}: allowed are {', '.join(TASK_NAMES)}, or the path of a Python "
            "file that defines TASK, as mine.py"
        )


def is_task_file(name: str) -> bool:
    """True if `name` is the path of a task's file, not the name of a task of this folder."""
    return name.endswith(".py")


def full_task_name(name: str) -> str:
    """`name` as stores and workers keep it: a file by its absolute path, valid in any folder."""
    return str(Path(name).resolve()) if is_task_file(name) else name


def task_label(name: str) -> str:
    """The task's name as part of a file name: a file's stem, else `name` itself."""
    return Path(name).stem if is_task_file(name) else name
