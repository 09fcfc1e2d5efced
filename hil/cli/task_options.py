"""The options that name a task, the same in every command: a name, a project, or its parts."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from compress.errors import UserError
from compress.projects.find import TaskRef
from compress.projects.keys import BETTER, COLORS, FEATURES, PROJECT_FILE, SEARCH_KEYS, TYPES
from compress.projects.keys import checked_values as checked
from compress.projects.project import Project, project_of
from compress.projects.toml_file import is_project, read_project_file
from compress.tasks import TASK_NAMES, check_task_name, full_task_name
from hil.cli.completions import tasks

DEFAULT_TASK = "digits"
# Of the section [search], what other commands than `hil evolve` take from it.
_COMMON_KEYS = ("board", "seed", "limits")
_PROJECTS = "Project"  # the heading in --help
_OF_PROJECT = "the project's"


def _from_project(context: typer.Context, name: str | None) -> str | None:
    """Make the section [search] of the project the defaults of the other options.

    It is the callback of --task, which is read before all others. Raises UserError for a project
    file that is refused.
    """
    place = name or (PROJECT_FILE if Path(PROJECT_FILE).is_file() else None)
    if place is not None and is_project(place) and not context.resilient_parsing:
        keys = SEARCH_KEYS if context.command.name == "evolve" else _COMMON_KEYS
        search = read_project_file(Path(place)).search
        context.default_map = {key: search[key] for key in keys if key in search}
    return name


@dataclass(frozen=True, slots=True)
class TaskChoice:
    """The values of these options, None where one is not given.

    `own` are those that the command has itself: they need no project.
    """

    task: str | None
    parts: Mapping[str, Any]
    own: frozenset[str] = frozenset()

    @property
    def is_given(self) -> bool:
        """True if there is a task to choose: by an option, or by a hil.toml in this folder."""
        return self.task is not None or bool(self.parts) or Path(PROJECT_FILE).is_file()

    def ref(self) -> TaskRef:
        """The task: the project with all that the options change, else that of the name.

        Without any of them it is the hil.toml of this folder, else the task `digits`. Raises
        UserError for options that do not go together, for an unknown name, and for a project that
        is refused.
        """
        name = self.task
        if name is None and Path(PROJECT_FILE).is_file():
            name = PROJECT_FILE
        parts: dict[str, Any] = {}
        for key, value in self.parts.items():
            parts |= checked({key: value}, Path.cwd(), f"--{key.replace('_', '-')}")
        of_project = [key for key in self.parts if key not in self.own]
        if name is not None and not is_project(name):
            if of_project:
                option = of_project[0].replace("_", "-")
                raise UserError(
                    f"--task {name} and --{option}: options of a project change no other task; "
                    "leave one of them out"
                )
            check_task_name(name)
            return full_task_name(name)
        if name is None:
            return project_of(parts) if of_project else DEFAULT_TASK
        file = read_project_file(Path(name))
        return project_of({**file.values, **parts}, file)


def _option(key: str, metavar: str, words: str, default: str = _OF_PROJECT) -> Any:
    return typer.Option(
        f"--{key}", metavar=metavar, help=words, show_default=default, rich_help_panel=_PROJECTS
    )


def _options(
    task: Annotated[
        str | None,
        typer.Option(
            callback=_from_project,
            is_eager=True,
            help=f"One of: {', '.join(TASK_NAMES)}; or the path of a project's hil.toml or folder, "
            "or of a Python file that defines TASK.",
            show_default=f"hil.toml in this folder, else {DEFAULT_TASK}",
            autocompletion=tasks,
        ),
    ] = None,
    model: Annotated[
        str | None,
        _option("model", "FILE.py:FUNCTION", "The function that makes your network."),
    ] = None,
    data: Annotated[
        str | None,
        _option(
            "data",
            "FILE.py:FUNCTION|FILE.npz|FOLDER",
            "Your data: a function, arrays, or a folder of class folders of images or WAV files.",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        _option("weights", "FILE.pt", "A trained network's state dict; it is not trained then."),
    ] = None,
    name: Annotated[
        str | None,
        _option("name", "NAME", "Name of the project, which names runs.", "its folder's"),
    ] = None,
    type: Annotated[
        str | None,
        _option(
            "type",
            "TYPE|A=TYPE,B=TYPE",
            f"One of: {', '.join(TYPES)}; of several outputs that of each by name.",
        ),
    ] = None,
    metric: Annotated[
        str | None,
        _option("metric", "NAME|FILE.py:FUNCTION", "What networks are judged by.", "the type's"),
    ] = None,
    better: Annotated[
        str | None,
        _option("better", "|".join(BETTER), "Direction of a metric of your own.", "higher"),
    ] = None,
    floor: Annotated[
        str | None,
        _option("floor", "VALUE", "Metric to reach, in its unit, or relative as float-2%."),
    ] = None,
    classes: Annotated[
        str | None, _option("classes", "A,B,...", "Names of the outputs.", "the data's")
    ] = None,
    mean: Annotated[
        str | None,
        _option("mean", "NUMBERS", "Subtracted from the inputs: one, or one a channel."),
    ] = None,
    std: Annotated[
        str | None, _option("std", "NUMBERS", "Divides the inputs: one, or one a channel.")
    ] = None,
    features: Annotated[
        str | None,
        _option("features", "|".join(FEATURES), "What is computed of WAV files.", "mfcc"),
    ] = None,
    image_size: Annotated[
        str | None, _option("image-size", "HxW", "Pixels to which images are resized.", "their own")
    ] = None,
    color: Annotated[
        str | None, _option("color", "|".join(COLORS), "Channels of images.", "the first image's")
    ] = None,
) -> None:
    """The options as a function has them; `with_task_options` reads its parameters."""


def with_task_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with all options that name a task, which it gets as its argument `chosen`.

    An option that the command has itself, as `hil bench` has --data, stays its own and counts for
    both.
    """
    own = inspect.signature(command, eval_str=True)
    shared = inspect.signature(_options, eval_str=True).parameters
    kept = [one for one in own.parameters.values() if one.name != "chosen"]
    names = {one.name for one in kept}
    added = [one for one in shared.values() if one.name not in names]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        found = {name: given[name] for name in shared}
        task = found.pop("task")
        parts = {name: value for name, value in found.items() if value is not None}
        rest = {name: value for name, value in given.items() if name in names}
        command(chosen=TaskChoice(task, parts, frozenset(names & set(shared))), **rest)

    ordered = (*(one for one in added if one.name == "task"), *kept)
    ordered += tuple(one for one in added if one.name != "task")
    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in ordered]
    # typer reads both; the hints are evaluated already.
    vars(run)["__signature__"] = inspect.Signature(parameters)
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    del vars(run)["__wrapped__"]
    return run


def tell(ref: TaskRef) -> None:
    """Say on stderr what was derived for a project: splits, sizes, training."""
    if not isinstance(ref, Project):
        return
    from compress.projects.opened import open_project  # imports torch
    from hil.terminal import note

    for told in open_project(ref).notes:
        note(told)


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
