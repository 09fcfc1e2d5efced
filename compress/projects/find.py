"""Find a task however it is named: by a name, a file that defines TASK, or a project."""

from __future__ import annotations

from pathlib import Path

from compress.projects.project import Project, project_of
from compress.projects.toml_file import is_project, read_project_file
from compress.tasks import TASK_NAMES, full_task_name, get_task, is_task_file, task_label
from compress.types import Task

TaskRef = str | Project
"""A task as commands, searches and workers pass it on: a name or path, or a project in full."""


def task_ref(name: str) -> TaskRef:
    """What `name` names: a project, read now, if it is the path of one; else the full name.

    Raises UserError for a project file that is refused.
    """
    if not is_project(name):
        return full_task_name(name)
    file = read_project_file(Path(name))
    return project_of(file.values, file)


def names_task(name: str) -> bool:
    """True for a name that `task_ref` takes: of a task, or of a file or folder that has one."""
    return name in TASK_NAMES or is_task_file(name) or is_project(name)


def find_task(ref: TaskRef) -> Task:
    """The task; a project's code runs and its data are read, once in a process.

    Raises UserError for an unknown name, and for a file or project that is refused.
    """
    found = task_ref(ref) if isinstance(ref, str) else ref
    if isinstance(found, str):
        return get_task(found)
    from compress.projects.opened import open_project  # imports torch

    return open_project(found).task


def label_of(ref: TaskRef) -> str:
    """The task's name as part of a file name."""
    return task_label(ref) if isinstance(ref, str) else ref.name


def identity_of_task(ref: TaskRef) -> str:
    """The task as a store keeps it: a project by its name, since the run keeps its files."""
    return ref if isinstance(ref, str) else ref.name
