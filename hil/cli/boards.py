"""`hil boards`: a table of all boards with core, clock, limits, and known costs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from compress.errors import UserError
from hil.board import board_names, board_text, load_board
from hil.cli import completions
from hil.cli.options import JsonFlag
from hil.objective.costs import cycles_known
from hil.types import Board

_WIDE = 110  # characters of a terminal that have room for descriptions


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def boards(
        board: Annotated[
            str | None,
            typer.Argument(
                help="Print this board's file instead, to start one of your own from.",
                autocompletion=completions.boards,
            ),
        ] = None,
        as_json: JsonFlag = False,
    ) -> None:
        """List the boards with core, clock, memory limits, and known cycles and power."""
        if board is not None:
            print(json.dumps({"toml": board_text(board)}) if as_json else board_text(board), end="")
            return
        facts, wrong = _boards()
        if as_json:
            print(json.dumps({"boards": [_to_json(board) for board in facts]}))
        else:
            console = Console()
            console.print(_table(facts, wide=console.width >= _WIDE))
        if wrong:
            raise UserError("; ".join(wrong))


def _boards() -> tuple[list[Board], list[str]]:
    """The readable boards, and the errors of the other files: a bad file hides no other board."""
    facts: list[Board] = []
    wrong: list[str] = []
    for name in board_names():
        try:
            facts.append(load_board(name))
        except UserError as error:
            wrong.append(str(error))
    return facts, wrong


def _to_json(board: Board) -> dict[str, object]:
    return {
        "name": board.name,
        "title": board.title,
        "core": board.core,
        "part": board.limits_stand_for or None,
        "clock_hz": board.time_clock_hz,
        "image_clock_hz": board.clock_hz,
        "flash_timing": board.memory.flash and asdict(board.memory.flash),
        "delayed_ram": board.memory.ram and asdict(board.memory.ram),
        "backend": board.backend,
        "flash_limit_bytes": board.flash_limit_bytes,
        "ram_limit_bytes": board.ram_limit_bytes,
        "counter": board.counter,
        "cycles": cycles_known(board),
        "active_mw": board.energy and board.energy.active_mw,
    }


def _table(boards: Sequence[Board], wide: bool) -> Table:
    """The boards, with their descriptions only where these are not cut to single letters."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("board", "core", "part", "MHz", "flash KB", "RAM KB", "cycles", "mW"):
        right = name in ("MHz", "flash KB", "RAM KB", "mW")
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    if wide:
        table.add_column("description")
    for board in boards:
        table.add_row(
            Text(board.name),
            board.core.removeprefix("cortex-"),
            board.limits_stand_for.split(",")[0],
            f"{board.time_clock_hz / 1e6:g}",
            str(board.flash_limit_bytes // 1024),
            str(board.ram_limit_bytes // 1024),
            cycles_known(board),
            "" if board.energy is None else f"{board.energy.active_mw:g}",
            *([Text(board.title)] if wide else []),
        )
    return table
