"""Which of the networks that meet a goal is chosen, and which are its neighbors.

The cheapest one is mostly not the one to take: another that costs hardly more may be more accurate.
So all networks whose cost is at most a share `near` above the least cost count as equally cheap,
and the most accurate of them is chosen. Cost is the goal's score (a mean of ratios to the int8
baseline, without a unit), accuracy the lower bound that the goal's confidence gives: the best of
many measured accuracies is mostly a lucky one (`hil.objective.decision`).

With `near` 0 the cheapest is chosen. As `near` grows, neither the cost nor the accuracy's bound of
the chosen network falls; no other network that meets the goal has at least its bound at no greater
flash, RAM and count, one of the four being better (docs/decisions/0039).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hil.objective.pareto import costs
from hil.types import Trial

NEAR = 0.05  # of the least cost: networks so much dearer count as equally cheap, if not told


@dataclass(frozen=True, slots=True)
class Eligible:
    """A measured network that meets the goal: its cost, and the lower bound of its accuracy.

    `is_sure` is true if it keeps the floor with the confidence asked for: only then it is chosen
    without being named.
    """

    trial: Trial
    cost: float
    bound: float
    is_sure: bool = True


@dataclass(frozen=True, slots=True)
class Neighbors:
    """The networks beside a chosen one, None where there is none.

    `cheaper` is the most accurate of those that cost less, `more_accurate` the cheapest of those
    that have a greater bound.
    """

    cheaper: Eligible | None
    more_accurate: Eligible | None


def choose_eligible(candidates: Sequence[Eligible], near: float) -> Eligible | None:
    """The sure candidate of the greatest bound that costs at most (1 + near) times the least.

    Of equal bounds the cheaper one is chosen, then the one of less flash, RAM and count, the more
    accurate one, and the lower number. None without sure candidates.
    """
    sure = [one for one in candidates if one.is_sure]
    least = min((one.cost for one in sure), default=0.0)

    def rank(one: Eligible) -> tuple[float, ...]:
        accuracy, *sizes = costs(one.trial)
        return -one.bound, one.cost, *sizes, accuracy, one.trial.number

    return min((one for one in sure if one.cost <= least * (1.0 + near)), key=rank, default=None)


def neighbors(candidates: Sequence[Eligible], chosen: Eligible) -> Neighbors:
    """The neighbors of `chosen` among the sure candidates."""
    sure = [one for one in candidates if one.is_sure]
    cheaper = (one for one in sure if one.cost < chosen.cost)
    better = (one for one in sure if one.bound > chosen.bound)
    return Neighbors(
        cheaper=min(cheaper, key=lambda c: (-c.bound, c.cost, c.trial.number), default=None),
        more_accurate=min(better, key=lambda c: (c.cost, -c.bound, c.trial.number), default=None),
    )
