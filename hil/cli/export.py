"""`hil export`: a network as a C library for the user's firmware."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from compress.errors import UserError
from compress.files import TFLITE_SUFFIXES
from hil.benchmark.named_model import checked_file
from hil.board import load_board
from hil.cli.completions import boards
from hil.cli.completions import runs as run_names
from hil.cli.options import BOARD_HELP, JsonFlag
from hil.library.folder import check_free, write_library
from hil.options.bench_options import Optimize
from hil.store.store import check_is_run
from hil.store.table_file import SUFFIXES

if TYPE_CHECKING:
    from hil.library.network import Network


def register(app: typer.Typer, runs: Path) -> None:
    """Add the command to `app`; runs are folders in `runs`."""

    @app.command("export")
    def export_library(
        what: Annotated[
            str,
            typer.Argument(
                metavar="RUN|FILE.tflite",
                help="A run in runs/, or the path of one: its chosen network; or an int8 .tflite.",
                autocompletion=run_names,
            ),
        ],
        table: Annotated[str | None, typer.Argument(hidden=True)] = None,
        out: Annotated[
            Path | None,
            typer.Option(help="Folder of the library: new, empty, or an earlier export."),
        ] = None,
        trial: Annotated[
            int | None,
            typer.Option(min=1, help="A trial of the run.", show_default="the chosen one"),
        ] = None,
        board: Annotated[
            str | None,
            typer.Option(
                help=f"{BOARD_HELP} A file needs one.",
                show_default="the run's",
                autocompletion=boards,
            ),
        ] = None,
        prefix: Annotated[
            str | None,
            typer.Option(
                help="What all global names begin with: another for each network of a program.",
                show_default="the network's name",
            ),
        ] = None,
        optimize: Annotated[
            Optimize | None,
            typer.Option(
                help="What kernels and the form of weights save, as hil bench has it.",
                show_default="as the run measured it; speed for a file or another board",
            ),
        ] = None,
        measure: Annotated[
            bool | None,
            typer.Option(
                "--measure/--no-measure",
                help="Measure the library on the board, for the figures in its README.",
                show_default="on emulated boards",
            ),
        ] = None,
        as_json: JsonFlag = False,
    ) -> None:
        """Write a network as a C library: sources, build files, figures, proof.

        Its README.md says how to use it; docs/into-your-firmware.md how it gets into a project.
        """
        if table or what.endswith(tuple(SUFFIXES)) or (out and out.name.endswith(tuple(SUFFIXES))):
            raise UserError(
                "hil export writes a C library (hil export RUN --out lib); tables of trials are "
                "written by hil trials export RUN FILE"
            )
        if out is None:
            raise UserError("--out FOLDER is missing: where the library is written")
        is_file = Path(what).suffix.lower() in TFLITE_SUFFIXES
        if is_file and trial is not None:
            raise UserError(f"--trial {trial}: {what} is a file, not a run")
        check_free(out)
        if board is not None:
            load_board(board)
        if is_file:
            checked_file(Path(what))
        else:
            folder = Path(what) if Path(what).is_dir() else runs / what
            check_is_run(folder)
        # These imports take a second: the options are checked before, as far as they can be.
        from hil.handover.network import Wishes, network_of_file, network_of_run
        from hil.library.export import library_files
        from hil.library.interface import check_prefix, symbol_prefix

        if prefix is not None:
            check_prefix(prefix)
        wishes = Wishes(board, None if optimize is None else optimize.saves, measure)
        if is_file:
            network = network_of_file(what, wishes, runs)
        else:
            network = network_of_run(folder, trial, wishes, _remark)
        name = prefix or symbol_prefix(network.facts.get("task", network.graph.name))
        files = library_files(network, name)
        write_library(files, out)
        if as_json:
            print(json.dumps(_library_json(network, name, out)))
        else:
            _show_library(network, name, out)


def _remark(text: str) -> None:
    Console(stderr=True, highlight=False).print(Text(f"warning: {text}"), soft_wrap=True)


def _library_json(network: Network, prefix: str, out: Path) -> dict[str, Any]:
    from hil.library.variant import library_arena_bytes

    measured = network.measured
    return {
        "folder": str(out),
        "prefix": prefix,
        "board": network.board.name,
        "arena_bytes": library_arena_bytes(network.plan),
        "measured": measured and {"what": measured.what, "count": measured.measurement.count},
    }


def _show_library(network: Network, prefix: str, out: Path) -> None:
    from hil.library.figures import figure_lines

    console = Console(highlight=False)
    console.print(Text(f"{network.title}, for {network.board.name}: {out}"), soft_wrap=True)
    if network.measured is not None:
        for name, value in figure_lines(network.measured, network.board):
            console.print(Text(f"  {name}: {value}"), soft_wrap=True)
    end = f"{out / 'README.md'} says how to use it; {prefix}_selftest proves it on your board"
    console.print(Text(end), soft_wrap=True)
