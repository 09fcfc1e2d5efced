"""Pareto dominance: the non-dominated front of measured trials, and a score to choose from it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from hil.types import Measurement, Trial

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def non_dominated(costs: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """The mask of non-dominated rows, bool (points,), of `costs` (points, objectives), minimized.

    A row dominates another if it is nowhere greater and somewhere smaller; equal rows do not
    dominate each other.
    """
    import numpy as np

    kept = np.ones(len(costs), dtype=np.bool_)
    for index, cost in enumerate(costs):
        beaten_by = (costs <= cost).all(axis=1) & (costs < cost).any(axis=1)
        kept[index] = not beaten_by.any()
    return kept


def measurement_of(trial: Trial) -> Measurement:
    """The trial's measurement. Raises ValueError if it has none."""
    if trial.measurement is None:
        raise ValueError(f"trial {trial.number} was not measured")
    return trial.measurement


def costs(trial: Trial) -> tuple[float, float, float, float]:
    """The objectives of a trial, all minimized: -accuracy, flash and RAM in bytes, count.

    Raises ValueError for a trial that was not measured.
    """
    measurement = measurement_of(trial)
    if trial.accuracy is None:
        raise ValueError(f"trial {trial.number} has no accuracy")
    return -trial.accuracy, measurement.flash.total, measurement.ram.total, measurement.count


def front(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """The non-dominated measured trials, by number; of trials with equal costs only the first.

    Raises ValueError if the counters are of different kinds.
    """
    first: dict[tuple[float, ...], Trial] = {}
    kinds = set()
    for trial in sorted(trials, key=lambda trial: trial.number):
        if trial.state == "measured" and trial.measurement is not None:
            first.setdefault(costs(trial), trial)
            kinds.add(trial.measurement.counter)
    if len(kinds) > 1:
        raise ValueError(
            f"counts of different kinds cannot be compared: {', '.join(sorted(kinds))}"
        )
    import numpy as np

    kept = non_dominated(np.array(list(first), dtype=np.float64).reshape(-1, 4))
    return tuple(trial for trial, keep in zip(first.values(), kept, strict=True) if keep)


def score(measurement: Measurement, baseline: Measurement) -> float:
    """The geometric mean of the flash, RAM and count ratios to the baseline; smaller is better.

    The ranking of measurements by it does not depend on the baseline.
    """
    ratios = (
        measurement.flash.total / baseline.flash.total,
        measurement.ram.total / baseline.ram.total,
        measurement.count / baseline.count,
    )
    return math.prod(ratios) ** (1 / 3)


def best(trials: Iterable[Trial], accuracy_target: float) -> Trial | None:
    """The measured trial with the smallest score of those with at least the target accuracy.

    Ties go to the more accurate trial, then to the lower number. None if no trial qualifies.
    """
    candidates = [
        (trial.measurement, trial)
        for trial in trials
        if trial.state == "measured"
        and trial.measurement is not None
        and (trial.accuracy or 0.0) >= accuracy_target
    ]
    if not candidates:
        return None
    reference = candidates[0][0]

    def rank(pair: tuple[Measurement, Trial]) -> tuple[float, float, int]:
        return score(pair[0], reference), -(pair[1].accuracy or 0.0), pair[1].number

    return min(candidates, key=rank)[1]
