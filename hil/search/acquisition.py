"""Which candidates are worth training: those that are expected to gain most.

What gains is a larger volume of the feasible front (expected hypervolume improvement, Emmerich et
al. 2006), or, where the user weighs costs, a smaller weighted mean (expected improvement). Costs
are known from the gate, accuracy as a distribution: the expectation is a mean over its quantiles.
A batch is chosen greedily.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Protocol, Self

import moocore
import numpy as np

from hil.objective.goal import ObjectiveWeights
from hil.types import Floats

_QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 6) for i in range(6)])
# Costs up to a tenth above the reference network's still count.
_CORNER = 1.1


class Merit(Protocol):
    """What a point, float64 (4,) of error and ratios of flash, RAM and count, would gain."""

    def gain(self, point: Floats) -> float: ...
    def with_point(self, point: Floats) -> Self: ...


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """The feasible front: `points` float64 (N, 4) of error and costs as ratios, smaller better.

    Errors are 1 - accuracy, and only those below `most_error` count.
    """

    points: Floats
    most_error: float

    def gain(self, point: Floats) -> float:
        """By how much `point` would enlarge the volume; 0 outside its corner."""
        corner = np.array((self.most_error, _CORNER, _CORNER, _CORNER))
        if not (point < corner).all():
            return 0.0
        own = float(np.prod(corner - point))
        covered = np.maximum(self.points, point)
        covered = covered[(covered < corner).all(axis=1)]
        if len(covered) == 0:
            return own
        return own - float(moocore.hypervolume(covered, ref=corner))

    def with_point(self, point: Floats) -> Self:
        return replace(self, points=np.vstack([self.points, point]))


@dataclass(frozen=True, slots=True)
class WeighedMean:
    """The smallest weighted mean so far, `best`, of what has an error below `most_error`.

    `error` is that of the network that ratios are to.
    """

    weights: ObjectiveWeights
    error: float
    most_error: float
    best: float = _CORNER

    def gain(self, point: Floats) -> float:
        """By how much `point` would undercut the best; 0 if it would not."""
        return max(0.0, self.best - self._mean(point)) if point[0] < self.most_error else 0.0

    def with_point(self, point: Floats) -> Self:
        return replace(self, best=self.best - self.gain(point))

    def _mean(self, point: Floats) -> float:
        error, flash, ram, work = map(float, point)
        return self.weights.mean(flash, ram, work, 100 * (error - self.error))


def expected_gain(merit: Merit, accuracy: float, spread: float, costs: Floats) -> float:
    """Mean of the gains over quantiles of a normal accuracy."""
    errors = 1.0 - np.minimum(accuracy + spread * _QUANTILES, 1.0)
    return float(np.mean([merit.gain(np.array((error, *costs))) for error in errors]))


def choose_candidates(
    merit: Merit, accuracies: Floats, spreads: Floats, costs: Floats, count: int
) -> list[int]:
    """Indices of `count` candidates, the best first, each believed to reach its mean accuracy.

    `costs` is (candidates, 3), ratios. A gain only shrinks as the batch grows, so that a candidate
    whose gain is still the largest after it was computed anew is the best (lazy greedy). Of equal
    gains the more accurate.
    """
    left = dict.fromkeys(range(len(accuracies)), np.inf)
    chosen: list[int] = []
    fresh: set[int] = set()
    while left and len(chosen) < count:
        best = max(left, key=lambda i: (left[i], accuracies[i], -i))
        if best not in fresh:
            left[best] = expected_gain(merit, accuracies[best], spreads[best], costs[best])
            fresh.add(best)
            continue
        chosen.append(best)
        del left[best]
        merit = merit.with_point(np.array((1.0 - accuracies[best], *costs[best])))
        fresh.clear()
    return chosen
