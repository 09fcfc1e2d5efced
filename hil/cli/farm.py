"""`hil farm`: the scheduler and the workers of a farm of machines (docs/farm.md)."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer
from rich.console import Console

from compress.errors import UserError
from hil.board import board_names, load_board
from hil.cli import completions

NO_BOARD = "none"
DEFAULT_PORT = 8786

_JsonFlag = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout once it is ready.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    farm = typer.Typer(
        help="Train and measure on many machines, for hil evolve --farm ADDRESS.",
        no_args_is_help=True,
    )
    app.add_typer(farm, name="farm")

    @farm.command()
    def scheduler(
        host: Annotated[
            str,
            typer.Option(
                help="Address to listen on: 127.0.0.1 for this machine only, tls://0.0.0.0 for "
                "all, which needs certificates (docs/farm.md)."
            ),
        ] = "127.0.0.1",
        port: Annotated[
            int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free port.")
        ] = DEFAULT_PORT,
        as_json: _JsonFlag = False,
    ) -> None:
        """Run the farm's scheduler, which gives the jobs of searches to workers.

        Who may use the port can run code on all workers.
        """
        from hil.farm.nodes import run_scheduler

        def ready(address: str) -> None:
            if as_json:
                print(json.dumps({"address": address}), flush=True)
                return
            console = Console(stderr=True, highlight=False)
            console.print(f"farm at {address}; on any machine, run:", soft_wrap=True)
            console.print(f"  hil farm worker {address} --board NAME", soft_wrap=True)
            console.print(f"  hil evolve --farm {address} ...", soft_wrap=True)

        asyncio.run(run_scheduler(host, port, ready))

    @farm.command()
    def worker(
        address: Annotated[
            str, typer.Argument(help="Address of the scheduler, such as tcp://host:8786.")
        ],
        board: Annotated[
            list[str] | None,
            typer.Option(
                help="A board that is attached or emulated here, one of: "
                f"{', '.join(board_names())}. May be repeated.",
                autocompletion=completions.boards,
                show_default="none",
            ),
        ] = None,
        trainers: Annotated[
            int,
            typer.Option(
                min=0, help="Number of processes that train, one network each; 0 only measures."
            ),
        ] = 1,
        as_json: _JsonFlag = False,
    ) -> None:
        """Run a worker of the farm at ADDRESS: it trains, and measures on each BOARD."""
        boards = check_boards(board or [])
        if not boards and not trainers:
            raise UserError(
                "--trainers 0 without --board: this worker would do nothing; give one of them"
            )
        # Importing torch and Dask takes seconds.
        from hil.farm.nodes import run_worker, worker_resources

        processes = worker_resources(boards, trainers)

        def ready() -> None:
            if as_json:
                print(json.dumps({"address": address, "processes": processes}), flush=True)
                return
            has = f", measures on {', '.join(boards)}" if boards else ""
            text = f"worker of {address}: trains {trainers} at a time{has}"
            Console(stderr=True, highlight=False).print(text, soft_wrap=True)

        asyncio.run(run_worker(address, processes, ready))


def check_boards(names: list[str]) -> list[str]:
    """Names of a worker's boards without repetition, checked to be reachable.

    Board files, given by their path, are named as a search names their boards. Raises UserError or
    ProbeLost.
    """
    wanted = [load_board(name) for name in names if name != NO_BOARD]
    boards = {facts.name: facts for facts in wanted}
    if NO_BOARD in names and boards:
        raise UserError(f"--board {NO_BOARD} and --board {min(boards)}: give only one of them")
    for facts in boards.values():
        # Importing pyOCD takes a second.
        from hil.target.open import check_reachable

        check_reachable(facts)
    return list(boards)
