"""Which candidates are worth training: those expected to add most to the feasible front's volume.

Costs are known from the gate, accuracy as a distribution: the expectation is a mean over its
quantiles. Expected hypervolume improvement (Emmerich et al. 2006), a batch chosen greedily.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import moocore
import numpy as np

from hil.surrogate import Floats

_QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 6) for i in range(6)])
# Costs up to a tenth above the reference network's still count.
_CORNER = 1.1


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

    def expected_gain(self, accuracy: float, spread: float, costs: Floats) -> float:
        """Mean of the gains over quantiles of a normal accuracy."""
        levels = 1.0 - np.minimum(accuracy + spread * _QUANTILES, 1.0)
        return float(np.mean([self.gain(np.array((level, *costs))) for level in levels]))

    def with_point(self, point: Floats) -> Volume:
        return Volume(np.vstack([self.points, point]), self.most_error)


def choose(
    volume: Volume, accuracies: Floats, spreads: Floats, costs: Floats, count: int
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
            left[best] = volume.expected_gain(accuracies[best], spreads[best], costs[best])
            fresh.add(best)
            continue
        chosen.append(best)
        del left[best]
        volume = volume.with_point(np.array((1.0 - accuracies[best], *costs[best])))
        fresh.clear()
    return chosen
