"""The networks chosen in a study: the smallest of each arm and seed above an accuracy floor.

A floor is given in percentage points of validation accuracy below the seed's float network. The
choice uses the validation split only; the test split tells how much of it was luck.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from compress.space.recipes import baseline
from hil.objective.costs import costs_of
from hil.store.store import Final
from hil.study.result import ArmTrace, StudyResult
from hil.types import Board, Measurement, Trial

FLOORS_POINTS = (0.5, 1.0, 2.0)
Cost = Literal["model flash", "image flash", "RAM", "count", "energy"]
Aim = Cost | Literal["weighted"]
COSTS: tuple[Cost, ...] = ("model flash", "image flash", "RAM", "count", "energy")
WEIGHTED: tuple[Cost, ...] = ("model flash", "RAM", "count", "energy")
# Tolerance for float rounding: far less than one of a few thousand samples.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Choice:
    """The network of `arm` in `seed` with the smallest `aim` of those above the floor.

    `value` is in bytes, counts or microjoules, `ratio` is its ratio to the seed's int8 network. For
    the weighted mean both are the mean of ratios. If no network is above the floor, `trial` is None
    and the int8 network takes its place, with ratio 1 (docs/decisions/0023).
    """

    arm: str
    seed: int
    floor_points: float
    aim: Aim
    trial: Trial | None
    value: float
    ratio: float


def costs_by_name(measurement: Measurement, board: Board) -> dict[Cost, float]:
    """Flash and RAM in bytes, count in the counter's unit, energy in microjoules if it is known.

    "model flash" is weights and tables as the linker placed them, "image flash" the whole image.
    """
    known = costs_of(measurement, board)
    costs: dict[Cost, float] = {
        "model flash": measurement.flash.parts["weights"],
        "image flash": known.flash_bytes,
        "RAM": known.ram_bytes,
        "count": known.count,
    }
    return costs if known.energy_uj is None else {**costs, "energy": known.energy_uj}


def references(result: StudyResult) -> dict[int, Trial]:
    """The measured int8 network by seed, the denominator of ratios; seeds without are absent."""
    int8 = baseline()
    found: dict[int, Trial] = {}
    for trace in result.traces:
        for trial in trace.trials:
            if trial.genome == int8 and trial.fidelity == 1.0 and trial.measurement is not None:
                found.setdefault(trace.seed, trial)
    return {seed: found[seed] for seed in result.seeds if seed in found}


def arm_names(result: StudyResult) -> tuple[str, ...]:
    """The names of the study's arms, in the order of their first trace."""
    return tuple(dict.fromkeys(trace.arm for trace in result.traces))


def kinds(result: StudyResult) -> dict[str, str]:
    """The kind of each arm: "single", "recipe" or "search"."""
    return {trace.arm: trace.kind for trace in result.traces}


def ratios_to(trial: Trial, reference: Trial, board: Board) -> dict[Cost, float]:
    """The ratio of each known cost to the reference's.

    Raises ValueError if one of the trials was not measured.
    """
    if trial.measurement is None or reference.measurement is None:
        raise ValueError(f"trial {trial.number} or {reference.number} was not measured")
    mine = costs_by_name(trial.measurement, board)
    theirs = costs_by_name(reference.measurement, board)
    return {name: mine[name] / theirs[name] for name in mine if name in theirs}


def weighted_mean(ratios: Mapping[Cost, float]) -> float:
    """The mean of the ratios of model flash, RAM, count and (if known) energy, equally weighted."""
    return fmean(ratios[name] for name in WEIGHTED if name in ratios)


def trials_above_floor(trace: ArmTrace, original: float, floor_points: float) -> list[Trial]:
    """The trials measured within the board's limits, with validation accuracy above the floor.

    `original` is the validation accuracy of the float network, a share of 1.
    """
    least = original - floor_points / 100 - _ROUNDING
    return [
        trial
        for trial in trace.trials
        if trial.state == "measured" and trial.accuracy is not None and trial.accuracy >= least
    ]


def choices(result: StudyResult) -> tuple[Choice, ...]:
    """The choices of every arm, floor and aim, in the seeds that have an int8 network."""
    int8 = references(result)
    known = _known_aims(int8, result.board)
    return tuple(
        choice
        for trace in result.traces
        if trace.seed in int8
        for floor in FLOORS_POINTS
        for choice in _choices_of(result, trace, int8[trace.seed], floor, known)
    )


def _choices_of(
    result: StudyResult, trace: ArmTrace, reference: Trial, floor: float, known: tuple[Aim, ...]
) -> Iterator[Choice]:
    board = result.board
    kept = trials_above_floor(trace, result.originals[trace.seed]["val"], floor)
    ratios = {trial.number: ratios_to(trial, reference, board) for trial in kept}
    whole: dict[Cost, float] = ratios_to(reference, reference, board)
    units = {} if reference.measurement is None else costs_by_name(reference.measurement, board)
    for aim in known:

        def ratio(found: Mapping[Cost, float], aim: Aim = aim) -> float:
            return weighted_mean(found) if aim == "weighted" else found[aim]

        best = min(
            kept, key=lambda trial: (ratio(ratios[trial.number]), trial.number), default=None
        )
        reached = ratio(whole if best is None else ratios[best.number])
        unit = 1.0 if aim == "weighted" else units[aim]
        yield Choice(trace.arm, trace.seed, floor, aim, best, reached * unit, reached)


def aims(result: StudyResult) -> tuple[Aim, ...]:
    """The quantities to minimize: the costs known on this board, and their weighted mean."""
    return _known_aims(references(result), result.board)


def _known_aims(int8: Mapping[int, Trial], board: Board) -> tuple[Aim, ...]:
    known = [costs_by_name(t.measurement, board) for t in int8.values() if t.measurement]
    return (*(cost for cost in COSTS if all(cost in costs for costs in known)), "weighted")


def drop_on_test(result: StudyResult, seed: int, trial: Trial) -> float | None:
    """Percentage points of test accuracy lost to the seed's float network; None if not tested.

    Both accuracies are the host's on the whole test split.
    """
    final: Final | None = result.finals.get(seed, {}).get(trial.number)
    return None if final is None else 100 * (result.originals[seed]["test"] - final.accuracy)
