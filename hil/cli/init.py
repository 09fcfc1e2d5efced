"""`hil init`: write an example project that runs as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from compress.errors import UserError
from compress.projects.keys import PROJECT_FILE
from hil.cli.options import JsonFlag
from hil.files import data_folder, open_folder, write_file


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def init(
        folder: Annotated[Path, typer.Argument(help="Folder of the project, made if missing.")],
        kind: Annotated[
            str,
            typer.Option(
                "--type", metavar="TYPE", help=f"Type of the task, one of: {', '.join(_kinds())}."
            ),
        ] = "classification",
        as_json: JsonFlag = False,
    ) -> None:
        """Write an example project to FOLDER: network, data and settings, each explained.

        It runs as it is, with small data that need no download. No file is overwritten.
        """
        if kind not in _kinds():
            raise UserError(f"--type {kind!r}: allowed are {', '.join(_kinds())}")
        files = write_project(folder, kind)
        if as_json:
            print(json.dumps({"folder": str(folder), "files": files}))
            return
        console = Console(highlight=False)
        console.print(Text(f"{folder}: {', '.join(files)}"), soft_wrap=True)
        console.print(Text(f"next: cd {folder} && hil evolve"), soft_wrap=True)


def write_project(folder: Path, kind: str) -> list[str]:
    """Write the files of an example of the type; return their names.

    Raises UserError, with nothing written, if one of them exists, or the folder cannot be written.
    """
    sources = sorted(path for path in (_templates() / kind).iterdir() if path.is_file())
    there = [path.name for path in sources if (folder / path.name).exists()]
    if there:
        raise UserError(
            f"{folder} has {', '.join(there)} already, and nothing is overwritten: name another "
            "folder, or move them"
        )
    open_folder(folder)
    for path in sorted(sources, key=lambda one: one.name == PROJECT_FILE):  # the project comes last
        write_file(folder / path.name, path.read_bytes())
    return [path.name for path in sources]


def _templates() -> Path:
    return data_folder("project_templates")


def _kinds() -> list[str]:
    """The types that have an example; none where this user may not read the examples."""
    try:
        return sorted(path.name for path in _templates().iterdir() if path.is_dir())
    except PermissionError:
        return []
