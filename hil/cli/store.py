"""`hil trials`: merge runs, write a run to a table (export), read it back (import)."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from compress.errors import UserError
from compress.tasks import full_task_name
from hil.cli import completions
from hil.cli.options import JsonFlag
from hil.store.merge import MERGE_ELSEWHERE, MergeResult, merge
from hil.store.run_folder import check_original, copy_original
from hil.store.store import STORE_FILE, RunIdentity, Store, check_same_run
from hil.store.table import IMPORT_ELSEWHERE, export_store, import_table, read_run_table
from hil.store.table_file import SUFFIXES, check_suffix

TableFile = Annotated[
    Path, typer.Argument(help=f"Table file; the suffix is one of: {', '.join(SUFFIXES)}.")
]
_RunOrPath = Annotated[
    str,
    typer.Argument(
        help="Name of a run in runs/, or the path of one.", autocompletion=completions.runs
    ),
]
_NewRun = Annotated[
    str,
    typer.Argument(
        help="Name of a run in runs/, or the path of one; created if missing.",
        autocompletion=completions.runs,
    ),
]

_ANY = "the table's"


def register(app: typer.Typer, runs: Path) -> None:
    """Add the group of commands to `app`; runs are folders in `runs`."""
    trials = typer.Typer(
        no_args_is_help=True,
        help="Trials of runs as tables (CSV, Parquet) and back; merged runs.",
    )
    app.add_typer(trials, name="trials")

    @trials.command("merge")
    def merge_runs(
        into: _NewRun,
        sources: Annotated[
            list[str],
            typer.Argument(
                metavar="FROM...",
                help="Runs whose trials are added.",
                autocompletion=completions.runs,
            ),
        ],
        as_json: JsonFlag = False,
    ) -> None:
        """Add the trials of other runs to the run INTO; all must have one task, board and seed."""
        folders = [_folder(name, runs) for name in sources]
        target = _folder(into, runs)
        identities = [_identity(folder) for folder in folders]
        wanted = _identity(target) if (target / STORE_FILE).exists() else identities[0]
        for folder, found in zip(folders, identities, strict=True):
            check_same_run(folder, found, wanted, MERGE_ELSEWHERE)
            if folder.resolve() == target.resolve():
                raise UserError(f"{folder} cannot be merged into itself")
        done: dict[str, MergeResult] = {}
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

    @trials.command("export")
    def export_run(
        run: _RunOrPath,
        file: TableFile,
        as_json: JsonFlag = False,
    ) -> None:
        """Write a run to a table with one row per trial, for import and for other programs."""
        check_suffix(file)
        with Store.read(_folder(run, runs)) as store:
            count = export_store(store, file)
        if as_json:
            print(json.dumps({"file": str(file), "trials": count}))
        else:
            Console().print(Text(f"{count} trials: {file}"), soft_wrap=True)

    @trials.command("import")
    def import_run(
        run: _NewRun,
        file: TableFile,
        task: Annotated[
            str | None,
            typer.Option(help="Refuse a table of another task.", show_default=_ANY),
        ] = None,
        board: Annotated[
            str | None,
            typer.Option(help="Refuse a table of another board.", show_default=_ANY),
        ] = None,
        seed: Annotated[
            int | None,
            typer.Option(help="Refuse a table of another seed.", show_default=_ANY),
        ] = None,
        original: Annotated[
            Path | None,
            typer.Option(
                help="The original network of the trials, a run's original.pt; hil evolve needs it "
                "to continue the run.",
                show_default="FILE's name with .pt, if that exists",
            ),
        ] = None,
        as_json: JsonFlag = False,
    ) -> None:
        """Add the trials of an exported table to a run; its own trials are kept unchanged."""
        check_suffix(file)
        if not file.is_file():
            raise UserError(f"{file}: no such file")
        table = read_run_table(file)
        if table.identity is None:
            raise UserError(f"{file} has no trials, so there is nothing to import")
        full_name = None if task is None else full_task_name(task)
        for name, wanted in (("task", full_name), ("board", board), ("seed", seed)):
            found = getattr(table.identity, name)
            if wanted not in (None, found):
                raise UserError(f"--{name} {wanted}: {file} is from a run of {name} {found}")
        folder = _folder(run, runs)
        if (folder / STORE_FILE).exists():
            check_same_run(file, table.identity, _identity(folder), IMPORT_ELSEWHERE)
        network = _network(original, file)
        if network is not None:
            check_original(network, folder)
        with Store.open(folder, table.identity) as store:
            if network is not None:
                copy_original(network, folder)
            merged = import_table(store, table)
        if as_json:
            print(json.dumps(asdict(merged)))
        else:
            _show(str(file), merged)


def _folder(run: str, runs: Path) -> Path:
    """The folder of a run: a path as given, a plain name in `runs`."""
    return Path(run) if Path(run).is_dir() or Path(run).name != run else runs / run


def _identity(folder: Path) -> RunIdentity:
    with Store.read(folder) as store:
        return store.identity


def _network(named: Path | None, table: Path) -> Path | None:
    """The file of the original network: the `named` one, or the one beside the table, if any."""
    beside = table.with_name(table.name.removesuffix(check_suffix(table)) + ".pt")
    network = named or (beside if beside.is_file() else None)
    if network is not None and not zipfile.is_zipfile(network):  # as torch writes them
        raise UserError(f"{network} is missing or not a network: give the original.pt of a run")
    return network


def _show(name: str, merged: MergeResult) -> None:
    console = Console()
    console.print(Text(f"{name}: {merged.added} trials added, {merged.known} were already there"))
    for one in merged.conflicting:
        console.print(
            Text(
                f"  trial {one.number} ({one.their_number} there): "
                f"{one.quantity} stays {one.ours}, although it is {one.theirs} there"
            ),
            soft_wrap=True,
        )
