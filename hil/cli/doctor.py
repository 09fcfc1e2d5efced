"""`hil doctor`: is everything here that measuring needs, and how to mend what is not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from compress.errors import UserError
from hil.board import board_names, load_board
from hil.cli.options import JsonFlag

if TYPE_CHECKING:
    from hil.measure.doctor import Check


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def doctor(
        board: Annotated[
            str | None, typer.Option(help=f"One of: {', '.join(board_names())}.")
        ] = None,
        release: Annotated[
            bool, typer.Option("--release", help="Take BOARD out of quarantine, then look.")
        ] = False,
        as_json: JsonFlag = False,
    ) -> None:
        """Check tools, probe, port and permissions; with BOARD, run a test program on it.

        A real BOARD's flash is written. Exit code 2 if something needed is missing.
        """
        # pyOCD takes a second to import.
        from hil.measure.doctor import examine
        from hil.target.bench_lock import release_quarantine

        facts = None if board is None else load_board(board)
        if release and facts is None:
            raise UserError("--release: which board? hil doctor --board NAME --release")
        released = release_quarantine(facts.name) if release and facts else []
        errors = Console(stderr=True)
        for probe_id in released:
            errors.print(f"released: {board} on probe {probe_id}", markup=False, highlight=False)
        checks: list[Check] = []
        with errors.status("looking") as status:
            for check in examine(facts):
                checks.append(check)
                status.update(f"looked at {check.name}")
        if as_json:
            print(json.dumps(checks_to_json(checks)))
        else:
            print_checks(checks, Console())
        if not healthy(checks):
            raise typer.Exit(2)


def healthy(checks: Sequence[Check]) -> bool:
    """Whether all that is needed is there."""
    return all(check.ok for check in checks if check.needed)


def checks_to_json(checks: Sequence[Check]) -> dict[str, object]:
    """The checks as plain values."""
    return {"ok": healthy(checks), "checks": [asdict(check) for check in checks]}


def print_checks(checks: Sequence[Check], console: Console) -> None:
    """A line per check, then the commands that mend what is not ok, unbroken for copying."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        table.add_row(_mark(check), check.name, Text(check.found))
    console.print(table)
    mends = [check for check in checks if check.mend and not check.ok]
    if mends:
        console.print(Text("\nto mend", "bold"))
    for check in mends:
        console.print(Text(f"  {check.name}: "), Text(check.mend, "cyan"), soft_wrap=True, sep="")
    missing = [check.name for check in checks if check.needed and not check.ok]
    verdict = Text(f"not ready: {', '.join(missing)}", "bold red")
    console.print(verdict if missing else Text("ready", "bold green"))


def _mark(check: Check) -> Text:
    if check.ok:
        return Text("ok", "green")
    return Text("not ok", "red") if check.needed else Text("missing", "yellow")
