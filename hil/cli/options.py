"""Options that several commands have, with the bounds that hold wherever they occur."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from compress.tasks import TASK_NAMES, full_task_name

# The largest that every library takes which is given one.
MOST_SEED = 2**31 - 1
MOST_MINUTES = 525_600.0  # a year


def finite(value: float | None) -> float | None:
    """A callback of options, which themselves let nan and inf pass. Raises BadParameter."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value}: must be a finite number")
    return value


SeedOption = Annotated[
    int, typer.Option(min=0, max=MOST_SEED, help="Of the original's training and the search.")
]
Minutes = Annotated[
    float,
    typer.Option(
        min=0.0, max=MOST_MINUTES, callback=finite, help="Time budget; the same call goes on."
    ),
]
TaskOption = Annotated[
    str,
    typer.Option(
        callback=full_task_name,
        help=f"One of: {', '.join(TASK_NAMES)}; or the path of a Python file that defines TASK.",
    ),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
