"""The acquisition function of the adaptive engine: which candidates are worth training.

Expected hypervolume improvement of the feasible front (Emmerich et al. 2006,
doi:10.1109/TEVC.2005.859463), or, where the user weighs the costs, expected improvement of the
weighted mean (Jones et al. 1998, doi:10.1023/A:1008306431147). The gate predicts the costs of a
candidate; only its accuracy is uncertain, and normally distributed. The expectation is therefore a
one-dimensional integral: the mean improvement over equally likely quantiles of the accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Protocol, Self

import moocore
import numpy as np

from hil.objective.goal import ObjectiveWeights
from hil.types import Floats

# The midpoints of six slices of equal probability of the standard normal distribution. Six are
# enough: the error of the surrogate is larger than that of the integral.
_QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 6) for i in range(6)])
# The reference point in the cost ratios. It lies a tenth above the int8 baseline, so that a network
# with the baseline's cost in one objective still improves the front in another.
_REFERENCE_RATIO = 1.1


class Merit(Protocol):
    """A figure of merit of the points measured so far, to be increased by new ones.

    A point is float64 (4,): error, and ratios of flash, RAM and count, all minimized. `improvement`
    is the amount that a new point would add, `with_point` the merit after adding the point.
    """

    def improvement(self, point: Floats) -> float: ...
    def with_point(self, point: Floats) -> Self: ...


@dataclass(frozen=True, slots=True, eq=False)
class HypervolumeMerit:
    """The hypervolume dominated by `points`: float64 (N, 4), error and cost ratios, minimized.

    Errors are 1 - accuracy. The reference point has the error at the accuracy floor, `most_error`:
    a network below the floor improves nothing.
    """

    points: Floats
    most_error: float

    def improvement(self, point: Floats) -> float:
        """The volume that only `point` would dominate; 0 beyond the reference point."""
        corner = np.array((self.most_error, *3 * (_REFERENCE_RATIO,)))
        if not (point < corner).all():
            return 0.0
        # The box between `point` and the corner, less the part of it that is dominated already: the
        # hypervolume of the front's points after clipping them to the box.
        own = float(np.prod(corner - point))
        covered = np.maximum(self.points, point)
        covered = covered[(covered < corner).all(axis=1)]
        if len(covered) == 0:
            return own
        return own - float(moocore.hypervolume(covered, ref=corner))

    def with_point(self, point: Floats) -> Self:
        return replace(self, points=np.vstack([self.points, point]))


@dataclass(frozen=True, slots=True)
class WeightedMeanMerit:
    """The smallest weighted mean so far, `best`, of points whose error is below `most_error`.

    `error` is that of the network to which the cost ratios are taken.
    """

    weights: ObjectiveWeights
    error: float
    most_error: float
    best: float = _REFERENCE_RATIO

    def improvement(self, point: Floats) -> float:
        """The distance of the point's mean below the best; 0 above it or below the floor."""
        return max(0.0, self.best - self._mean(point)) if point[0] < self.most_error else 0.0

    def with_point(self, point: Floats) -> Self:
        return replace(self, best=self.best - self.improvement(point))

    def _mean(self, point: Floats) -> float:
        error, flash, ram, work = map(float, point)
        lost_points = 100 * (error - self.error)
        return self.weights.mean(flash=flash, ram=ram, work=work, lost_points=lost_points)


def expected_improvement(merit: Merit, accuracy: float, spread: float, costs: Floats) -> float:
    """The mean improvement over the quantiles of an accuracy with that mean and deviation.

    `costs` is float64 (3,): ratios of flash, RAM and count.
    """
    errors = 1.0 - np.minimum(accuracy + spread * _QUANTILES, 1.0)
    return float(np.mean([merit.improvement(np.array((error, *costs))) for error in errors]))


def choose_candidates(
    merit: Merit, accuracies: Floats, spreads: Floats, costs: Floats, count: int
) -> list[int]:
    """Indices of a batch of `count` candidates, the best first; the more accurate on ties.

    `accuracies` and `spreads` are float64 (candidates,), `costs` float64 (candidates, 3), ratios.
    The choice is greedy: each chosen candidate counts as measured at its mean accuracy when the
    next is chosen. It is also lazy (Minoux 1978): an improvement only shrinks as the batch grows,
    so an old value is an upper bound, and a candidate whose new value is the largest is the best.
    """
    left = dict.fromkeys(range(len(accuracies)), np.inf)
    chosen: list[int] = []
    fresh: set[int] = set()
    while left and len(chosen) < count:
        best = max(left, key=lambda i: (left[i], accuracies[i], -i))
        if best not in fresh:
            left[best] = expected_improvement(merit, accuracies[best], spreads[best], costs[best])
            fresh.add(best)
            continue
        chosen.append(best)
        del left[best]
        merit = merit.with_point(np.array((1.0 - accuracies[best], *costs[best])))
        fresh.clear()
    return chosen
