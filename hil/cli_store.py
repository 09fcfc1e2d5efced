"""`hil merge`, `hil export`, `hil import`: runs brought together, written to tables, read back."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from compress.errors import UserError
from compress.tasks import TASK_NAMES, get_task
from hil.board import board_names, board_sha256, load_board, without_limits
from hil.cli_bench import Limits, LimitsOption
from hil.cli_numbers import SeedOption
from hil.store import FILE_NAME, RunIdentity, Store, check_same_run
from hil.store_merge import Merged, merge
from hil.store_table import export_store, import_table
from hil.table_file import SUFFIXES, check_suffix

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
TableFile = Annotated[Path, typer.Argument(help=f"A table: {', '.join(SUFFIXES)}.")]


def register(app: typer.Typer, runs: Path) -> None:
    """Add the commands to `app`; runs that are named are looked for in `runs`."""

    @app.command("merge")
    def merge_runs(
        into: Annotated[str, typer.Argument(help="Name of a run in runs/; a new one is made.")],
        sources: Annotated[list[str], typer.Argument(metavar="FROM...", help="Runs to add.")],
        as_json: JsonFlag = False,
    ) -> None:
        """Add the trials of runs of the same task, board and seed to the run INTO."""
        folders = [_folder(name, runs) for name in sources]
        target = _folder(into, runs)
        identities = [_identity(folder) for folder in folders]
        wanted = _identity(target) if (target / FILE_NAME).exists() else identities[0]
        for folder, found in zip(folders, identities, strict=True):
            check_same_run(folder, found, wanted)
            if folder.resolve() == target.resolve():
                raise UserError(f"{folder} cannot be merged into itself")
        done: dict[str, Merged] = {}
        with Store.open(target, wanted) as store:
            for name, folder in zip(sources, folders, strict=True):
                with Store.read(folder) as source:
                    done[name] = merge(store, source)
        if as_json:
            found_json = {name: asdict(merged) for name, merged in done.items()}
            print(json.dumps({"into": str(target), "merged": found_json}))
            return
        for name, merged in done.items():
            _show(name, merged)

    @app.command("export")
    def export_run(
        run: Annotated[str, typer.Argument(help="Name of a run in runs/, or a path to one.")],
        file: TableFile,
        as_json: JsonFlag = False,
    ) -> None:
        """Write a run to a table, one row per trial, from which it can be imported again."""
        check_suffix(file)
        with Store.read(_folder(run, runs)) as store:
            trials = export_store(store, file)
        if as_json:
            print(json.dumps({"file": str(file), "trials": trials}))
        else:
            Console().print(Text(f"{trials} trials: {file}"), soft_wrap=True)

    @app.command("import")
    def import_run(
        run: Annotated[str, typer.Argument(help="Name of a run in runs/; a new one is made.")],
        file: TableFile,
        task: Annotated[str, typer.Option(help=f"One of: {', '.join(TASK_NAMES)}.")],
        board: Annotated[str, typer.Option(help=f"One of: {', '.join(board_names())}.")],
        seed: SeedOption = 0,
        limits: LimitsOption = Limits.BOARD,
        as_json: JsonFlag = False,
    ) -> None:
        """Add the trials of an exported table to a run; what is there stays as it is."""
        get_task(task)
        facts = load_board(board)
        facts = facts if limits is Limits.BOARD else without_limits(facts)
        check_suffix(file)
        if not file.is_file():
            raise UserError(f"no file {file}")
        identity = RunIdentity(task, facts.name, seed, board_sha256(facts))
        with Store.open(_folder(run, runs), identity) as store:
            merged = import_table(store, file)
        if as_json:
            print(json.dumps(asdict(merged)))
        else:
            _show(str(file), merged)


def _folder(run: str, runs: Path) -> Path:
    """A path to a run as it is; a plain name in `runs`."""
    return Path(run) if Path(run).is_dir() or Path(run).name != run else runs / run


def _identity(folder: Path) -> RunIdentity:
    with Store.read(folder) as store:
        return store.identity


def _show(name: str, merged: Merged) -> None:
    console = Console()
    console.print(Text(f"{name}: {merged.added} trials added, {merged.known} were known"))
    for one in merged.conflicting:
        console.print(
            Text(
                f"  trial {one.number} ({one.their_number} there): "
                f"{one.quantity} stays {one.ours}, there it is {one.theirs}"
            ),
            soft_wrap=True,
        )
