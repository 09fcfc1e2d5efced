"""What a search has learned, in one line: how cheap each order of stages got."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from hil import formatting
from hil.report.summary import Summary

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class OrderFigures:
    """One order of stages: networks measured, those of them that meet the goal, the best of these.

    `score` is the least score of those that meet the goal, `number` that trial's.
    """

    order: str
    measured: int
    met: int
    number: int
    score: float


def order_figures(summary: Summary) -> tuple[OrderFigures, ...]:
    """The figures of all orders of which a network meets the goal, the cheapest first."""
    measured: dict[str, int] = defaultdict(int)
    for trial in summary.measured:
        measured[formatting.stage_order(trial.genome)] += 1
    met = defaultdict(list)
    for one in summary.candidates:
        met[formatting.stage_order(one.trial.genome)].append((one.cost, one.trial.number))
    found = (
        OrderFigures(order, measured[order], len(costs), min(costs)[1], min(costs)[0])
        for order, costs in met.items()
    )
    return tuple(sorted(found, key=lambda one: (one.score, one.order)))


def learned(summary: Summary) -> str:
    """The cheapest orders of stages in a line; "" where there is nothing to compare.

    It says of how many networks an order's figure is the best: few tell little.
    """
    found = order_figures(summary)
    if len(found) < 2 or summary.baseline is None:
        return ""
    shown = "; ".join(
        f"{one.order} {one.score:.2f} ({one.met} of {one.measured} met the goal)"
        for one in found[:_SHOWN]
    )
    more = (
        f"; {formatting.number_of(len(found) - _SHOWN, 'more order')}"
        if len(found) > _SHOWN
        else ""
    )
    return f"Learned: best score by order of stages: {shown}{more}."
