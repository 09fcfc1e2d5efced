"""The choice of one option for each layer that costs least, what layers share being charged once.

An option has a cost of its own and needs parts, such as functions, which cost once however many
layers need them. Dynamic programming over the layers: a state is the set of parts that are paid for
and that layers to come can use. A state is dropped if another, with all that this one has and lacks
paid for, costs no more: nothing that follows can cost less from it. So the result is exact. The
states are few, as most parts are either common to all layers of a kind or of use to one layer only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """What a layer may be run by: its own cost, and the parts that it needs."""

    cost: int
    parts: frozenset[str]


@dataclass(frozen=True, slots=True)
class _State:
    """The least cost so far with these parts paid for, and the choices that led to it."""

    cost: int
    parts: frozenset[str]
    chosen: tuple[_State, int] | None

    def choices(self) -> list[int]:
        state: _State | None = self
        found: list[int] = []
        while state is not None and state.chosen is not None:
            state, option = state.chosen
            found.append(option)
        return found[::-1]


def least(layers: Sequence[Sequence[Option]], prices: Mapping[str, int]) -> list[int]:
    """The option of each layer with the least sum of costs and of the prices of needed parts.

    Prices are not negative. Of equal sums that with the earlier options of the earlier layers, as
    far as states were not dropped, is chosen; the same layers give the same choice.
    """
    useful = _useful_later(layers)
    states = [_State(0, frozenset(), None)]
    for layer, later in zip(layers, useful, strict=True):
        reached: dict[frozenset[str], _State] = {}
        for state in states:
            for number, option in enumerate(layer):
                new = option.parts - state.parts
                cost = state.cost + option.cost + sum(prices[part] for part in new)
                parts = (state.parts | option.parts) & later
                if parts not in reached or cost < reached[parts].cost:
                    reached[parts] = _State(cost, parts, (state, number))
        states = _undominated(list(reached.values()), prices)
    return min(states, key=lambda state: state.cost).choices()


def _useful_later(layers: Sequence[Sequence[Option]]) -> list[frozenset[str]]:
    """After each layer, the parts that an option of a later one needs."""
    useful: list[frozenset[str]] = []
    later: frozenset[str] = frozenset()
    for layer in reversed(layers):
        useful.append(later)
        later = later.union(*(option.parts for option in layer))
    return useful[::-1]


def _undominated(states: list[_State], prices: Mapping[str, int]) -> list[_State]:
    """The states from which the least sum may still be reached, cheapest first."""
    kept: list[_State] = []
    for state in sorted(states, key=lambda state: state.cost):
        if not any(
            other.cost + sum(prices[part] for part in state.parts - other.parts) <= state.cost
            for other in kept
        ):
            kept.append(state)
    return kept
