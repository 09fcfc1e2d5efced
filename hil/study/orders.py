"""Counts of the orders of stages in the best networks that the searches of a study found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hil.objective import pareto
from hil.study.choices import FLOORS_POINTS, Choice, kinds, trials_above_floor
from hil.study.result import StudyResult


@dataclass(frozen=True, slots=True)
class Orders:
    """Counts by order of stages (initials, see `Genome.order`) at one floor.

    `won` counts, by arm, the networks with the smallest weighted mean, one for each seed that
    reached the floor. `front` counts the non-dominated networks above it, over all search arms and
    seeds.
    """

    floor_points: float
    won: dict[str, Counter[str]] = field(default_factory=dict)
    front: Counter[str] = field(default_factory=Counter)

    @property
    def all_won(self) -> Counter[str]:
        """The wins of all arms together."""
        return sum(self.won.values(), Counter())


def orders_won(result: StudyResult, choices: Sequence[Choice]) -> tuple[Orders, ...]:
    """The counts at each floor, over the search arms."""
    found = {floor: Orders(floor) for floor in FLOORS_POINTS}
    searches = [arm for arm, kind in kinds(result).items() if kind == "search"]
    for choice in choices:
        if choice.aim == "weighted" and choice.arm in searches and choice.trial is not None:
            won = found[choice.floor_points].won.setdefault(choice.arm, Counter())
            won[choice.trial.genome.order] += 1
    for trace in result.traces:
        if trace.arm in searches and trace.seed in result.originals:
            original = result.originals[trace.seed]["val"]
            for floor, orders in found.items():
                best = pareto.front(trials_above_floor(trace, original, floor))
                orders.front.update(trial.genome.order for trial in best)
    return tuple(found.values())


def grouped(orders: Sequence[Orders], at_most: int) -> dict[str, list[str]]:
    """The rows to show: name, and the orders that the row counts.

    Up to `at_most` orders with wins have a row each, most wins first, then by name. All other
    orders that won or are on a front share the last row, named as in `3 others`.
    """
    wins = sum((one.all_won for one in orders), Counter[str]())
    known = {name for one in orders for name in (*one.all_won, *one.front)}
    ranked = sorted(known, key=lambda order: (-wins[order], order))
    count = min(at_most, sum(wins[order] > 0 for order in known))
    shown, rest = ranked[:count], ranked[count:]
    rows = {order: [order] for order in shown}
    if len(rest) == 1:
        return {**rows, rest[0]: rest}
    return {**rows, f"{len(rest)} others": rest} if rest else rows
