"""`hil report`: the results of a run so far."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hil.cli.options import JsonFlag
from hil.report.summary import summarize
from hil.report.summary_json import summary_to_json
from hil.store.store import Store


def register(app: typer.Typer, runs: Path) -> None:
    """Add the command to `app`; runs are folders in `runs`."""

    @app.command()
    def report(
        run: Annotated[str, typer.Argument(help="Name of a run in runs/, or a path to one.")],
        profile: Annotated[
            bool, typer.Option(help="Show the time by step instead of the results.")
        ] = False,
        as_json: JsonFlag = False,
    ) -> None:
        """Show the results of a run so far and write its report.html."""
        folder = Path(run) if Path(run).is_dir() else runs / run
        with Store.read(folder) as store:
            summary = summarize(store)
        # Importing matplotlib takes a second: there is a run to report.
        from hil.report import time_profile
        from hil.report.report import print_profile, print_summary, print_table, write_report

        may_write = os.access(folder, os.W_OK)
        if may_write:
            write_report(summary, folder)
        if as_json:
            extra = {"profile": time_profile.profile_to_json(summary.profile)} if profile else {}
            print(json.dumps({**summary_to_json(summary), **extra}))
        elif profile:
            print_profile(summary, Console())
        elif may_write:
            print_summary(summary, folder, Console())
        else:
            print_table(summary, Console())
