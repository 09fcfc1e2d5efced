"""What a reader has to know before believing a report: what this run does not show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from hil import formatting
from hil.networks.planned_network import PlannedNetwork
from hil.objective import pareto
from hil.report.summary import Summary
from hil.types import NO_ORACLE, Measurement, Provenance

_MAY_DIFFER = {"oracles", "seed"}  # of trials that are still comparable


def caveats(summary: Summary, planned: tuple[PlannedNetwork | str, ...] = ()) -> list[str]:
    """Sentences, the weightiest first; `planned` are the networks whose plans the page shows."""
    return [*_of_the_board(summary), *_of_the_search(summary), *_of_the_plans(planned)]


def _of_the_board(summary: Summary) -> Iterator[str]:
    measurements = [pareto.measurement_of(trial) for trial in summary.measured]
    if any(one.counter == "insn" for one in measurements):
        yield (
            "No silicon ran these networks: instructions are exact counts of an emulator, "
            f"{_cycles(measurements)}"
        )
    untried = [t for t in summary.measured if t.provenance.oracles in ("", NO_ORACLE)]
    if untried:
        yield (
            f"{formatting.number_of(len(untried), 'measured network')} not compared with an "
            "independent interpreter: only with the integer reference of this program."
        )


def _cycles(measurements: list[Measurement]) -> str:
    if all(one.model_cycles is None for one in measurements):
        return "and time and energy are not known."
    errors = {one.model_error for one in measurements if one.model_cycles is not None}
    if None in errors:
        return "time and energy follow from modelled cycles of unknown error."
    largest = max(error for error in errors if error is not None)
    return f"time and energy follow from modelled cycles ({formatting.plus_minus(largest)})."


def _of_the_search(summary: Summary) -> Iterator[str]:
    if summary.stopped_by is None:
        yield "The search has not ended: a better network may still be found."
    if summary.measured:
        yield (
            f"One search with one seed ({summary.seed}): another seed finds other networks, "
            "better or worse (hil study compares seeds)."
        )
        tested = {final.number for final in summary.finals}
        missing = [trial for trial in summary.front if trial.number not in tested]
        if missing:
            number = formatting.number_of(len(missing), "network")
            yield f"{number} of the front not tried on the test split."
    if any(trial.provenance.dirty for trial in summary.trials):
        yield "Some trials were made by a checkout with changes that were not committed."
    differing = [
        field.name.replace("_", " ")
        for field in fields(Provenance)
        if field.name not in _MAY_DIFFER
        and len({getattr(trial.provenance, field.name) for trial in summary.measured}) > 1
    ]
    if differing:
        yield f"Not all trials were made alike; they differ in: {', '.join(differing)}."


def _of_the_plans(planned: tuple[PlannedNetwork | str, ...]) -> Iterator[str]:
    for one in planned:
        if isinstance(one, PlannedNetwork) and not one.is_as_measured:
            yield (
                f"Trial {one.number} was measured with an arena of {one.measured_arena_bytes:,} "
                f"bytes; this version of the program plans {one.arena_bytes:,}. Layers and memory "
                "map show the plan of this version."
            )
