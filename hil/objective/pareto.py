"""What is better: the non-dominated front of measured trials, and one score to choose from it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from hil.types import Measurement, Trial


def non_dominated(costs: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which rows of `costs` (points, objectives), smaller is better, no other row dominates.

    A row dominates another if it is nowhere greater and somewhere smaller; equal rows do not
    dominate each other. Returns bool (points,).
    """
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
    """What a trial is ranked by, all to be minimized: -accuracy, flash, RAM (bytes), count.

    Raises ValueError for a trial that was not measured.
    """
    measurement = measurement_of(trial)
    if trial.accuracy is None:
        raise ValueError(f"trial {trial.number} has no accuracy")
    return -trial.accuracy, measurement.flash.total, measurement.ram.total, measurement.count


def front(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """The measured trials that no other dominates, by number; of equal ones only the first.

    Raises ValueError if they were not all counted by the same kind of counter.
    """
    first: dict[tuple[float, ...], Trial] = {}
    kinds = set()
    for trial in sorted(trials, key=lambda trial: trial.number):
        if trial.state == "measured" and trial.measurement is not None:
            first.setdefault(costs(trial), trial)
            kinds.add(trial.measurement.counter)
    if len(kinds) > 1:
        raise ValueError(f"counts of different kinds do not compare: {', '.join(sorted(kinds))}")
    kept = non_dominated(np.array(list(first), dtype=np.float64).reshape(-1, 4))
    return tuple(trial for trial, keep in zip(first.values(), kept, strict=True) if keep)


def score(measurement: Measurement, baseline: Measurement) -> float:
    """Geometric mean of the flash, RAM and count ratios to the baseline; smaller is better.

    Which of two measurements scores better does not depend on the baseline.
    """
    ratios = (
        measurement.flash.total / baseline.flash.total,
        measurement.ram.total / baseline.ram.total,
        measurement.count / baseline.count,
    )
    return float(np.prod(ratios) ** (1 / 3))


def best(trials: Iterable[Trial], accuracy_target: float) -> Trial | None:
    """The trial of the smallest score among those that fit the board and meet the target.

    Of equal scores the more accurate, then the first.
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
