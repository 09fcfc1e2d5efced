"""The options of `hil evolve` that set the goal, and their conversion to a `Goal`."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import Annotated

import typer

from compress.errors import UserError
from compress.metrics.scale import MetricScale
from compress.types import Task
from hil.energy.machine_energy import EnergyBudget, MachineMeter
from hil.objective.floor import Floor, check_floor, parse_floor
from hil.objective.goal import Goal, make_goal
from hil.objective.quantities import (
    bytes_in,
    joules_in,
    microjoules_in,
    milliseconds_in,
    share_in,
    weights_in,
)
from hil.search.registry import AUTO, ENGINE_NAMES
from hil.types import Board

_BOARD = "the board's"


class Limits(StrEnum):
    """The limits of flash and RAM: those of the board file, or none but the memories' sizes."""

    BOARD = "board"
    NONE = "none"


LimitsOption = Annotated[
    Limits,
    typer.Option(
        help="'board': flash and RAM of the board file, for an emulated board those of the real "
        "part it stands for; 'none': all memory that the board has."
    ),
]

AccuracyOption = Annotated[
    float | None,
    typer.Option(
        "--accuracy",
        help="Accuracy that the chosen network must reach on the validation split, between 0 and "
        "1; the same as --floor of a number.",
        show_default="the task's",
    ),
]
FloorOption = Annotated[
    str | None,
    typer.Option(
        "--floor",
        metavar="VALUE",
        help="Metric that the chosen network must reach on the validation split (at most, where "
        "less is better): a value in the metric's unit such as 0.9, a distance to the float "
        "network such as float-0.02, or a share of its value such as float-2%.",
        show_default="the task's",
    ),
]
MaxFlash = Annotated[
    str | None,
    typer.Option(
        metavar="BYTES", help="Limit of the image's flash, such as 64K.", show_default=_BOARD
    ),
]
MaxRam = Annotated[
    str | None,
    typer.Option(
        metavar="BYTES",
        help="Limit of RAM (arena, static data, stack), such as 20K.",
        show_default=_BOARD,
    ),
]
MaxLatency = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Limit of the time of one inference, such as 50ms; for boards with known cycles.",
        show_default="none",
    ),
]
MaxEnergy = Annotated[
    str | None,
    typer.Option(
        metavar="ENERGY",
        help="Limit of the energy of one inference, such as 1mJ; for boards with known power.",
        show_default="none",
    ),
]
PreferOption = Annotated[
    str | None,
    typer.Option(
        "--prefer",
        metavar="NAME=NUMBER,...",
        help="Minimize the weighted mean of accuracy, flash, ram, latency, energy instead of "
        "searching the whole Pareto front, such as flash=1,ram=0.5,latency=2.",
        show_default="none",
    ),
]
EnergyBudgetOption = Annotated[
    str | None,
    typer.Option(
        metavar="ENERGY",
        help="Stop after this computer has drawn so much energy, such as 20kJ.",
        show_default="no limit",
    ),
]


def _engines(incomplete: str) -> list[str]:
    """The names of engines that begin so, for the completion of a shell."""
    return [name for name in (AUTO, *ENGINE_NAMES) if name.startswith(incomplete)]


EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        help=f"Search algorithm, one of: {', '.join(ENGINE_NAMES)}; {AUTO} is elastic where its "
        "training pays within the budget, else adaptive. Only elastic, adaptive and weighted use "
        "--prefer; the others search the whole front.",
        autocompletion=_engines,
    ),
]


ConfidenceOption = Annotated[
    float,
    typer.Option(
        help="Probability with which the chosen network must keep the floor on unseen data, below "
        "1; 0 chooses by the validation split alone.",
    ),
]


NearOption = Annotated[
    str,
    typer.Option(
        "--near",
        metavar="SHARE",
        help="Networks whose cost (the score) is at most this much above the least count as "
        "equally cheap: the most accurate of them is chosen. 0 chooses the cheapest.",
    ),
]


def confidence_of(confidence: float) -> float | None:
    """The goal's confidence; None for 0. Raises UserError for what is no probability."""
    if not 0.0 <= confidence < 1.0:
        raise UserError(f"--confidence {confidence:g}: must be 0 or a probability below 1")
    return confidence or None


def near_of(near: str) -> float:
    """The goal's `near`. Raises UserError for what is no share."""
    return share_in("--near", near)


def floor_of(task: Task, accuracy: float | None, floor: str | None) -> Floor:
    """The floor that `--accuracy` or `--floor` asks for, else the task's own.

    Raises UserError for both, and for a floor that the task's metric does not allow.
    """
    if accuracy is not None and floor is not None:
        raise UserError("--accuracy and --floor: give one of them")
    if floor is not None:
        option, wanted = "--floor", parse_floor(floor)
    elif accuracy is not None:
        option, wanted = "--accuracy", Floor(accuracy)
    else:
        return Floor(task.accuracy_floor)
    from compress.metrics.registry import metric_of  # imports NumPy: the options are checked before

    metric = metric_of(task)
    check_floor(option, wanted, MetricScale(metric.name, metric.better))
    return wanted


def with_floor(goal: Goal, task: Task, floor: Floor) -> Goal:
    """The goal with this floor; its accuracy is 0 until the float network is known, if it must be.

    A number is the accuracy itself for a metric where more is better.
    """
    from compress.metrics.registry import metric_of

    if floor.kind == "absolute" and metric_of(task).better == "higher":
        return replace(goal, accuracy=floor.amount)
    return replace(goal, accuracy=0.0, floor=floor)


def goal_of(
    board: Board,
    accuracy: float,
    max_flash: str | None,
    max_ram: str | None,
    max_latency: str | None,
    max_energy: str | None,
    weights: str | None,
) -> Goal:
    """The goal that these options set for `board`. Raises UserError for impossible values."""
    return make_goal(
        board,
        accuracy,
        max_flash=None if max_flash is None else bytes_in("--max-flash", max_flash),
        max_ram=None if max_ram is None else bytes_in("--max-ram", max_ram),
        max_latency=(
            None if max_latency is None else milliseconds_in("--max-latency", max_latency)
        ),
        max_energy=None if max_energy is None else microjoules_in("--max-energy", max_energy),
        weights=None if weights is None else weights_in("--prefer", weights),
    )


def energy_budget_of(text: str | None) -> EnergyBudget | None:
    """The energy budget, with a meter that starts now. Raises UserError without energy counters."""
    return (
        None if text is None else EnergyBudget(joules_in("--energy-budget", text), MachineMeter())
    )
