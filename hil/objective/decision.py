"""The probability that a network keeps the floor on data that nothing was chosen by.

A network's accuracy on the validation split has an error, and the best of many is mostly one whose
error is a lucky one (the winner's curse). Its estimate is therefore shrunk toward what networks of
its costs have (empirical Bayes; Efron and Morris 1975, doi:10.1080/01621459.1975.10479864):

    x = true + common + own, common ~ N(0, c^2), own ~ N(0, s^2);  true ~ N(trend of the costs, t^2)

x is the mean of both halves of the judged samples: of the accuracy where the floor is a value, of
the drop below the float network where the floor is a distance to it. All networks of a run are
judged on the same samples, and these may be easy or hard: the error of an accuracy has a part that
is `common` to all networks and one of a network's `own`. Only the own part can be shrunk; the
common part is as uncertain after the search as before. With e the standard error of the accuracy
and d that of the paired difference to the float network, whose own part is taken to be as large:

    s^2 = d^2 / 2;  c^2 = e^2 - s^2 for a value;  c^2 = s^2 (the float network's) for a distance

The trend is linear in the logarithms of count and flash, fitted to the networks near the floor. t^2
is the variance around it that the own noise does not explain. A genome that was trained several
times has a mean of its own, toward which its networks are shrunk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot, log, sqrt
from statistics import NormalDist

import numpy as np

from hil.types import Floats, Trial

_FEWEST = 6  # networks near the floor, below which nothing is shrunk
_NEAR = 0.03  # share of 1: networks so far from the floor are its neighbors, and all within 4 s
_SPREADS = 4.0
_RIDGE = 1e-3  # of the trend's slopes, relative to the number of networks


@dataclass(frozen=True, slots=True)
class FloorOdds:
    """The shrunk estimate of a network's accuracy (a share), its deviation, and the probability.

    `probability` (0 .. 1) is that of an accuracy of at least the floor. For a floor that is a
    distance, `accuracy` is the float network's on the validation split less the shrunk drop.
    """

    accuracy: float
    deviation: float
    probability: float


@dataclass(frozen=True, slots=True)
class _Seen:
    """One network: number, genome's key, x, s and c above, log count, log flash."""

    number: int
    genome: str
    x: float
    s: float
    common: float
    costs: tuple[float, float]

    @property
    def error(self) -> float:
        """The standard error of x."""
        return hypot(self.s, self.common)


def floor_odds(trials: Sequence[Trial], floor: float, is_distance: bool) -> Mapping[int, FloorOdds]:
    """The odds of the measured trials, by number; without those that lack figures by halves.

    `floor` is a share; `is_distance` says that it follows from the float network's accuracy.
    """
    seen = [_seen(trial, is_distance) for trial in trials]
    known = [one for one in seen if one is not None]
    if not known:
        return {}
    original = _original(trials) if is_distance else 0.0
    target = floor - original
    reach = max(_NEAR, _SPREADS * float(np.median([one.error for one in known])))
    near = [one for one in known if abs(one.x - target) <= reach]
    means, spread = _trend(known, near)
    within = _within(near, spread)
    odds: dict[int, FloorOdds] = {}
    for genome in dict.fromkeys(one.genome for one in known):
        group = [i for i, one in enumerate(known) if one.genome == genome]
        found = _posterior([known[i] for i in group], means[group], spread, within)
        for i, (mean, own) in zip(group, found, strict=True):
            deviation = hypot(own, known[i].common)
            chance = NormalDist(mean, max(deviation, 1e-9)).cdf(target)
            odds[known[i].number] = FloorOdds(original + mean, deviation, 1.0 - chance)
    return odds


def margin(trials: Sequence[Trial], confidence: float, is_distance: bool) -> float:
    """How far (share of 1) a typical network must be above the floor to keep it so probably.

    0 without figures by halves. Shrinking is left out: it goes either way.
    """
    seen = [_seen(trial, is_distance) for trial in trials]
    errors = [one.error for one in seen if one is not None]
    return NormalDist().inv_cdf(confidence) * float(np.median(errors)) if errors else 0.0


def _seen(trial: Trial, is_distance: bool) -> _Seen | None:
    measured = trial.measurement
    if measured is None or len(measured.halves) != 2:
        return None

    a, b = measured.halves
    x = -(a.drop + b.drop) / 2 if is_distance else (a.accuracy + b.accuracy) / 2
    error, drop_error = hypot(a.error, b.error) / 2, hypot(a.drop_error, b.drop_error) / 2
    s = drop_error / sqrt(2)
    if not is_distance:
        s = min(s, error)  # a network unlike the float one has no part in common with it
    common = s if is_distance else sqrt(error**2 - s**2)
    costs = log(max(measured.count, 1)), log(max(measured.flash.total, 1))
    return _Seen(trial.number, trial.genome.key, x, s, common, costs)


def _original(trials: Sequence[Trial]) -> float:
    """The float network's accuracy, the mean over the halves."""
    halves = next(t.measurement.halves for t in trials if t.measurement and t.measurement.halves)
    return float(np.mean([half.accuracy + half.drop for half in halves]))


def _trend(known: Sequence[_Seen], near: Sequence[_Seen]) -> tuple[Floats, float]:
    """The prior mean of each known network, and the standard deviation around it.

    Infinite if fewer than `_FEWEST` networks are near.
    """
    if len(near) < _FEWEST:
        return np.array([one.x for one in known]), np.inf
    rows, x = np.array([one.costs for one in near]), np.array([one.x for one in near])
    weights = 1.0 / np.maximum(np.array([one.s for one in near]), 1e-6) ** 2
    center, mean = np.average(rows, axis=0, weights=weights), np.average(x, weights=weights)
    spread_of_costs = np.maximum(rows.std(axis=0), 1e-9)
    scaled = (rows - center) / spread_of_costs
    weighted = scaled * weights[:, None]
    penalty = _RIDGE * weights.sum() * np.eye(2)
    slopes = np.linalg.solve(scaled.T @ weighted + penalty, weighted.T @ (x - mean))
    left = x - mean - scaled @ slopes
    freedom = max(1, len(near) - 3)
    noise = float(np.mean([one.s**2 for one in near]))
    variance = max(float((left**2).sum()) / freedom - noise, noise / 16)
    everyone = (np.array([one.costs for one in known]) - center) / spread_of_costs
    return mean + everyone @ slopes, sqrt(variance)


def _within(near: Sequence[_Seen], spread: float) -> float:
    """The standard deviation of networks of one genome, at most `spread`; `spread` if unknown."""
    groups: dict[str, list[_Seen]] = {}
    for one in near:
        groups.setdefault(one.genome, []).append(one)
    repeated = [group for group in groups.values() if len(group) > 1]
    if not repeated or np.isinf(spread):
        return spread
    freedom = sum(len(group) - 1 for group in repeated)
    squares = sum(float(np.var([one.x for one in group])) * len(group) for group in repeated)
    noise = float(np.mean([one.s**2 for group in repeated for one in group]))
    return min(spread, sqrt(max(squares / freedom - noise, 0.0)))


def _posterior(
    group: Sequence[_Seen], means: Floats, spread: float, within: float
) -> list[tuple[float, float]]:
    """Mean and deviation of each network of one genome, given all of them (Gaussian)."""
    if np.isinf(spread):
        return [(one.x, one.s) for one in group]
    if len(group) == 1:
        (one,), share = group, spread**2 / (spread**2 + group[0].s ** 2)
        return [(float(means[0]) + share * (one.x - float(means[0])), one.s * sqrt(share))]
    x, noise = np.array([one.x for one in group]), np.diag([one.s**2 for one in group])
    prior = np.full((len(group),) * 2, spread**2 - within**2) + within**2 * np.eye(len(group))
    gain = prior @ np.linalg.pinv(prior + noise)
    mean = means + gain @ (x - means)
    left = np.diag(prior - gain @ prior)
    return [(float(m), sqrt(max(float(v), 0.0))) for m, v in zip(mean, left, strict=True)]
