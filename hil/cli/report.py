"""`hil report`: the results of a run so far; `hil dashboard`: its page while a search goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from hil.cli import completions
from hil.cli.options import JsonFlag
from hil.energy.calibration import calibrated
from hil.report.choosing import BY_RULE, choose_by_hand
from hil.store.run_folder import board_of
from hil.store.store import Store, check_is_run

if TYPE_CHECKING:
    from hil.report.summary import Summary

RunArgument = Annotated[
    str,
    typer.Argument(
        help="Name of a run in runs/, or a path to one.", autocompletion=completions.runs
    ),
]


def register(app: typer.Typer, runs: Path) -> None:
    """Add both commands to `app`; runs are folders in `runs`."""
    _register_report(app, runs)
    _register_dashboard(app, runs)


def _register_report(app: typer.Typer, runs: Path) -> None:
    @app.command()
    def report(
        run: RunArgument,
        profile: Annotated[
            bool, typer.Option(help="Show the time by step instead of the results.")
        ] = False,
        layers: Annotated[
            bool,
            typer.Option(
                help="First count each layer of the int8 network and of the chosen one on the "
                "board, and time the kernels that could run it, for report.html."
            ),
        ] = False,
        choose: Annotated[
            str | None,
            typer.Option(
                metavar=f"NUMBER|{BY_RULE}",
                help="Choose this trial, from now on: its sources go to chosen/ in the run's "
                f"folder; {BY_RULE}: choose by the rule again.",
                show_default="as before",
            ),
        ] = None,
        as_json: JsonFlag = False,
    ) -> None:
        """Show the results of a run so far and write its report.html."""
        folder = _folder(run, runs)
        # Importing matplotlib takes a second: there is a run to report.
        from hil.report import time_profile
        from hil.report.export import write_chosen
        from hil.report.report import print_profile, print_summary, print_table, write_report
        from hil.report.summary import summarize
        from hil.report.summary_json import summary_to_json

        with Store.read(folder) as store:
            summary = summarize(store)
            if choose is not None:
                choose_by_hand(summary, folder, choose)
                summary = summarize(store)
        may_write = os.access(folder, os.W_OK)
        if layers:
            _count_layers(summary, folder)
        if may_write:
            write_report(summary, folder)
        if choose is not None:
            write_chosen(summary, folder)
        if as_json:
            extra = {"profile": time_profile.profile_to_json(summary.profile)} if profile else {}
            print(json.dumps({**summary_to_json(summary), **extra}))
        elif profile:
            print_profile(summary, Console())
        elif may_write:
            print_summary(summary, folder, Console())
        else:
            print_table(summary, Console())


def _count_layers(summary: Summary, folder: Path) -> None:
    """Count the layers of the two networks that the page shows beside each other."""
    from hil.networks.layer_counts import count_layers

    shown = {one.number: one for one in (summary.baseline, summary.chosen) if one is not None}
    count_layers(folder, tuple(shown.values()), calibrated(board_of(folder, summary.board)))


def _register_dashboard(app: typer.Typer, runs: Path) -> None:
    @app.command()
    def dashboard(
        run: RunArgument,
        port: Annotated[
            int,
            typer.Option(min=0, max=65535, help="Port to listen on.", show_default="any free one"),
        ] = 0,
    ) -> None:
        """Serve the report of RUN while its search goes on, until Ctrl-C.

        It prints an address for a browser on this machine: whoever has it may read the page, nobody
        else. The page follows the search by itself.
        """
        folder = _folder(run, runs)
        from hil.report.live import serve

        def tell(url: str) -> None:
            typer.echo(f"dashboard: {url}")
            typer.echo("Ctrl-C ends it; the search goes on.", err=True)

        serve(folder, port, tell)


def _folder(run: str, runs: Path) -> Path:
    """The folder of a run that is given by its name or its path. Raises UserError if none is."""
    folder = Path(run) if Path(run).is_dir() else runs / run
    check_is_run(folder)
    return folder
