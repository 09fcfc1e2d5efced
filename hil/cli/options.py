"""Options that several commands share, with their bounds."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from hil.cli.completions import boards

# The largest seed that all libraries accept.
MOST_SEED = 2**31 - 1
MOST_MINUTES = 525_600.0  # a year


def finite(value: float | None) -> float | None:
    """Refuse nan and inf, which typer accepts: an option's callback. Raises BadParameter."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value}: must be a finite number")
    return value


BOARD_HELP = "A board that `hil boards` lists, or the path of a board file (.toml)."

BoardOption = Annotated[str, typer.Option(help=BOARD_HELP, autocompletion=boards)]
SeedOption = Annotated[
    int,
    typer.Option(
        min=0,
        max=MOST_SEED,
        help="Seed of all random numbers: training of the original network, and the search.",
    ),
]
Minutes = Annotated[
    float,
    typer.Option(
        min=0.0,
        max=MOST_MINUTES,
        callback=finite,
        help="Stop after this many minutes, earlier calls included; a larger number continues.",
    ),
]
JsonFlag = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON object on stdout.")
]
