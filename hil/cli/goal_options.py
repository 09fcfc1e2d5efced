"""The options of `hil evolve` that say what is wanted, and what they mean on a board."""

from __future__ import annotations

from typing import Annotated

import typer

from hil.energy.machine_energy import EnergyBudget, MachineMeter
from hil.objective.goal import Goal, make_goal
from hil.objective.quantities import (
    bytes_in,
    joules_in,
    microjoules_in,
    milliseconds_in,
    weights_in,
)
from hil.search.registry import ENGINE_NAMES
from hil.types import Board

_BOARD = "the board's"

MaxFlash = Annotated[
    str | None, typer.Option(metavar="BYTES", help="Flash limit: 64K.", show_default=_BOARD)
]
MaxRam = Annotated[
    str | None, typer.Option(metavar="BYTES", help="RAM limit: 20K.", show_default=_BOARD)
]
MaxLatency = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Limit of one inference: 50ms.", show_default="none"),
]
MaxEnergy = Annotated[
    str | None,
    typer.Option(metavar="ENERGY", help="Limit of one inference: 1mJ.", show_default="none"),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="NAME=NUMBER,...",
        help="Weigh costs instead of seeking the whole front: flash=1,ram=0.5,latency=2.",
        show_default="none",
    ),
]
EnergyBudgetOption = Annotated[
    str | None,
    typer.Option(
        metavar="ENERGY", help="What this machine may draw: 20kJ.", show_default="no limit"
    ),
]
EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        help=f"How to search: {', '.join(ENGINE_NAMES)}. What --weights asks for is sought by "
        "adaptive and weighted; the others seek the whole front.",
    ),
]


def goal_of(
    board: Board,
    accuracy: float,
    max_flash: str | None,
    max_ram: str | None,
    max_latency: str | None,
    max_energy: str | None,
    weights: str | None,
) -> Goal:
    """What these options ask of `board`. Raises UserError for what makes no sense there."""
    return make_goal(
        board,
        accuracy,
        None if max_flash is None else bytes_in("--max-flash", max_flash),
        None if max_ram is None else bytes_in("--max-ram", max_ram),
        None if max_latency is None else milliseconds_in("--max-latency", max_latency),
        None if max_energy is None else microjoules_in("--max-energy", max_energy),
        None if weights is None else weights_in("--weights", weights),
    )


def energy_budget_of(text: str | None) -> EnergyBudget | None:
    """The budget, with a meter that runs from now on. Raises UserError where none can."""
    return (
        None if text is None else EnergyBudget(joules_in("--energy-budget", text), MachineMeter())
    )
