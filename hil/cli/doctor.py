"""`hil doctor`: a check of everything that a measurement needs, with a remedy for each failure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from compress.errors import UserError
from hil.cli.completions import boards
from hil.cli.options import BOARD_HELP, JsonFlag

if TYPE_CHECKING:
    from hil.measure.check import Check

_MARK_WIDTH = len("missing")
NAME_WIDTH = len("counting plug-in")  # the longest name of a check


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def doctor(
        board: Annotated[
            str | None,
            typer.Option(
                help=f"Check this board, too, and run a test program on it. {BOARD_HELP}",
                autocompletion=boards,
                show_default="none",
            ),
        ] = None,
        release: Annotated[
            bool,
            typer.Option("--release", help="Take BOARD out of quarantine before the check."),
        ] = False,
        as_json: JsonFlag = False,
    ) -> None:
        """Check tools, probes, serial ports and permissions; with --board, run a test program.

        The test program is written to the flash of a real board. The exit code is 2 if something
        that is needed is missing.
        """
        from hil.board import load_board
        from hil.measure.doctor import examine
        from hil.target.bench_lock import release_quarantine

        facts = None if board is None else load_board(board)
        if release and facts is None:
            raise UserError("--release needs a board: hil doctor --board NAME --release")
        released = release_quarantine(facts.name) if release and facts else []
        from hil.terminal import notes_console

        notes = notes_console()
        for probe_id in released:
            notes.print(f"released: {board} on probe {probe_id}", markup=False, highlight=False)
        checks: list[Check] = []
        console = Console(quiet=as_json)
        # One console has both on a terminal, or they would disturb each other.
        screen = console if console.is_terminal and not as_json else notes
        with nullcontext() if notes.quiet else screen.status("checking"):
            for check in examine(facts):
                checks.append(check)
                console.print(line_of(check))
        if as_json:
            print(json.dumps(checks_to_json(checks)))
        else:
            console.print(readiness(checks), soft_wrap=True)
        if not healthy(checks):
            raise typer.Exit(2)


def healthy(checks: Sequence[Check]) -> bool:
    """True if all needed checks are ok."""
    return all(check.ok for check in checks if check.needed)


def checks_to_json(checks: Sequence[Check]) -> dict[str, object]:
    """The JSON object of `hil doctor --json`. Keys are only added."""
    return {"ok": healthy(checks), "checks": [asdict(check) for check in checks]}


def line_of(check: Check) -> RenderableType:
    """A check's line, printed as soon as it is known; its columns stand below the others'."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, width=_MARK_WIDTH)
    table.add_column(no_wrap=True, width=NAME_WIDTH)
    table.add_column(overflow="fold")
    table.add_row(_mark(check), Text(check.name), Text(check.found))
    return table


def readiness(checks: Sequence[Check]) -> RenderableType:
    """The remedies, whose commands must not be wrapped, for copying, and the verdict."""
    mends = [check for check in checks if check.mend and not check.ok]
    lines = [Text("\nto mend", "bold")] if mends else []
    lines += [Text.assemble(f"  {one.name}: ", (one.mend, "cyan")) for one in mends]
    missing = [check.name for check in checks if check.needed and not check.ok]
    verdict = Text(f"not ready: {', '.join(missing)}", "bold red")
    return Group(*lines, verdict if missing else Text("ready", "bold green"))


def _mark(check: Check) -> Text:
    if check.ok:
        return Text("ok", "green")
    return Text("not ok", "red") if check.needed else Text("missing", "yellow")
