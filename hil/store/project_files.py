"""The project of a run, kept in its folder: code files, settings, hashes, facts for the device.

A run is continued with the same files only; reports and later measurements take them from here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compress.errors import UserError
from compress.projects.find import TaskRef
from compress.projects.keys import PROJECT_FILE
from compress.projects.project import NamedFile, Project, deciding
from compress.projects.project_json import (
    settings_from_json,
    settings_to_json,
    to_toml,
    training_of,
)
from compress.types import Task
from hil.files import file_errors, write_file

_FACTS = "project.json"


def project_folder(folder: Path) -> Path:
    """The folder of the project in a run's folder."""
    return folder / "project"


def save_project(folder: Path, project: Project, task: Task, facts: Mapping[str, Any]) -> None:
    """Keep the project in the run: the code as it is run, and a hil.toml with all settings.

    `task` is what was made of it, `facts` what a device needs beside the network. Data and weights
    are not copied. Raises UserError for files that cannot be written.
    """
    place = project_folder(folder)
    copies = _copies(project)
    with file_errors(place):
        place.mkdir(parents=True, exist_ok=True)
    for file in project.files:
        if file.content is not None:
            write_file(place / copies[file.key], file.content)
    text = to_toml(project.settings, task.recipe, task.fine_tune, copies)
    write_file(place / PROJECT_FILE, text.encode())
    kept = {
        "settings": settings_to_json(project.settings),
        "files": [
            {
                "key": file.key,
                "path": str(file.path),
                "sha256": file.sha256,
                "copy": copies.get(file.key),
            }
            for file in project.files
        ],
        "training": training_of(task.recipe, task.fine_tune),
        "facts": dict(facts),
    }
    write_file(place / _FACTS, json.dumps(kept, indent=1).encode())


def kept_project(folder: Path) -> Project | None:
    """The project of the run in `folder`; None for a run of another task.

    Raises UserError for damaged files.
    """
    kept, place = _read(folder), project_folder(folder)
    if kept is None:
        return None
    try:
        files = tuple(
            NamedFile(
                one["key"],
                Path(one["path"]),
                one["sha256"],
                (place / one["copy"]).read_bytes() if one["copy"] else None,
            )
            for one in kept["files"]
        )
        return Project(settings_from_json(kept["settings"]), files)
    except (OSError, KeyError, TypeError) as error:
        raise UserError(f"{place} is damaged ({error}): restore it, or search anew") from error


def kept_facts(folder: Path) -> Mapping[str, Any] | None:
    """The facts for the device that were kept with the run; None for a run of another task."""
    kept = _read(folder)
    return None if kept is None else kept.get("facts", {})


def run_task(folder: Path, name: str) -> TaskRef:
    """The run's task: the project kept with it, else the task of that name."""
    return kept_project(folder) or name


def copy_project(source: Path, target: Path) -> None:
    """Copy the project of the run `source` to the run `target`, which must have the same or none.

    Raises UserError for another one, or files that cannot be written.
    """
    project = kept_project(source)
    if project is None:
        return
    check_same_project(target, project)
    if kept_project(target) is None:
        with file_errors(target):
            shutil.copytree(project_folder(source), project_folder(target), dirs_exist_ok=True)


def check_same_project(folder: Path, project: Project) -> None:
    """Check that the run in `folder` has this project, or none.

    Files are compared by their content, settings by their values; goal and title may change.
    Raises UserError naming what differs.
    """
    kept = kept_project(folder)
    if kept is None:
        return
    advice = "results would not compare: choose another run with --run"
    ours = {file.key: file for file in project.files if file.key != PROJECT_FILE}
    theirs = {file.key: file for file in kept.files if file.key != PROJECT_FILE}
    for key in sorted({*ours, *theirs}):
        here, there = ours.get(key), theirs.get(key)
        if here is None or there is None:
            with_, without = ("run", "project") if here is None else ("project", "run")
            raise UserError(f"{key}: the {with_} has one, the {without} none ({folder}): {advice}")
        if here.sha256 != there.sha256:
            copy = project_folder(folder) / _copies(kept)[key] if there.content else None
            restore = f"restore the file (copy {copy})" if copy else "restore it"
            raise UserError(
                f"{here.path} ({key}) has changed since the run {folder} began: {advice}, or "
                f"{restore}"
            )
    _check_same_settings(folder, kept, project, advice)


def _check_same_settings(folder: Path, kept: Project, project: Project, advice: str) -> None:
    here, there = _values(project), _values(kept)
    derived = (_read(folder) or {}).get("training", {})
    for name in sorted({*here, *there}):
        before = there.get(name, derived.get(name))
        if here.get(name) != before:
            raise UserError(
                f"{name} was {_shown(before)} when the run {folder} began, is now "
                f"{_shown(here.get(name))}: {advice}"
            )


def _values(project: Project) -> dict[str, Any]:
    """What decides the training, without paths: files count by their content."""
    values = settings_to_json(project.settings)
    chosen = {name: values[name] for name in deciding(project.settings)}
    return {
        name: value.get("function") if isinstance(value, dict) else value
        for name, value in chosen.items()
    }


def _shown(value: Any) -> str:
    return "not given" if value is None else str(value)


def _copies(project: Project) -> dict[str, str]:
    """The names of the copies of code files by key: their own, unless two differ in content."""
    names: dict[str, str] = {}
    for file in project.files:
        if file.content is None:
            continue
        name = file.path.name
        others = [one for one in project.files if one.path.name == name and one.content]
        clash = len({one.content for one in others}) > 1 and others[0].key != file.key
        names[file.key] = f"{file.key}_{name}" if clash else name
    return names


def _read(folder: Path) -> Mapping[str, Any] | None:
    path = project_folder(folder) / _FACTS
    if not path.is_file():
        return None
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}): restore it, or search anew") from error
    return found
