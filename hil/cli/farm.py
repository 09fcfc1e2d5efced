"""`hil farm`: one scheduler, and workers on any number of machines (docs/farm.md)."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer
from rich.console import Console

from compress.errors import UserError
from hil.board import board_names, load_board

NO_BOARD = "none"
DEFAULT_PORT = 8786

_JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object once it is ready.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    farm = typer.Typer(
        help="Train and measure on many machines (hil evolve --farm ADDRESS).",
        no_args_is_help=True,
    )
    app.add_typer(farm, name="farm")

    @farm.command()
    def scheduler(
        host: Annotated[
            str,
            typer.Option(
                help="Address to listen on; 0.0.0.0 for other machines, tls://0.0.0.0 with TLS."
            ),
        ] = "127.0.0.1",
        port: Annotated[
            int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free one.")
        ] = DEFAULT_PORT,
        as_json: _JsonFlag = False,
    ) -> None:
        """Bring searches and workers together. Who reaches it runs code: trusted networks only."""
        from hil.farm.nodes import run_scheduler

        def ready(address: str) -> None:
            if as_json:
                print(json.dumps({"address": address}), flush=True)
                return
            console = Console(stderr=True, highlight=False)
            console.print(f"farm at {address}; there and elsewhere:", soft_wrap=True)
            console.print(f"  hil farm worker {address} --board NAME", soft_wrap=True)
            console.print(f"  hil evolve --farm {address} ...", soft_wrap=True)

        asyncio.run(run_scheduler(host, port, ready))

    @farm.command()
    def worker(
        address: Annotated[str, typer.Argument(help="The scheduler's, as tcp://host:8786.")],
        board: Annotated[
            list[str] | None,
            typer.Option(
                help=f"A board that is here, may be repeated: {', '.join(board_names())}."
            ),
        ] = None,
        trainers: Annotated[
            int, typer.Option(min=0, help="Trainings at a time, a process each; 0: only measure.")
        ] = 1,
        as_json: _JsonFlag = False,
    ) -> None:
        """Train for the farm at ADDRESS, and measure on each BOARD that is here."""
        boards = check_boards(board or [])
        if not boards and not trainers:
            raise UserError("--trainers 0 without --board: this worker would do nothing")
        # torch and Dask take seconds to import.
        from hil.farm.nodes import run_worker, worker_resources

        processes = worker_resources(boards, trainers)

        def ready() -> None:
            if as_json:
                print(json.dumps({"address": address, "processes": processes}), flush=True)
                return
            has = f", measures on {', '.join(boards)}" if boards else ""
            text = f"works for {address}: trains {trainers} at a time{has}"
            Console(stderr=True, highlight=False).print(text, soft_wrap=True)

        asyncio.run(run_worker(address, processes, ready))


def check_boards(names: list[str]) -> list[str]:
    """The boards of a worker: known, reachable, each once. Raises UserError, ProbeLost."""
    boards = list(dict.fromkeys(name for name in names if name != NO_BOARD))
    if NO_BOARD in names and boards:
        raise UserError(f"--board {NO_BOARD} beside --board {boards[0]}: which?")
    for facts in [load_board(name) for name in boards]:
        # pyOCD takes a second to import.
        from hil.target.open import check_reachable

        check_reachable(facts)
    return boards
