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
    """The least cost so far with these parts, bits of a number, paid for, and how it came to be."""

    cost: int
    parts: int
    chosen: tuple[_State, int] | None

    def choices(self) -> list[int]:
        state: _State | None = self
        found: list[int] = []
        while state is not None and state.chosen is not None:
            state, option = state.chosen
            found.append(option)
        return found[::-1]


class _Prices:
    """The price of any set of parts. Parts that the same options need are one, with one bit."""

    def __init__(self, layers: Sequence[Sequence[Option]], prices: Mapping[str, int]) -> None:
        users: dict[str, list[tuple[int, int]]] = {}
        for index, layer in enumerate(layers):
            for number, option in enumerate(layer):
                for part in option.parts:
                    users.setdefault(part, []).append((index, number))
        bits: dict[tuple[tuple[int, int], ...], int] = {}
        self._bit = {part: bits.setdefault(tuple(used), len(bits)) for part, used in users.items()}
        self._prices = [0] * len(bits)
        for part, bit in self._bit.items():
            self._prices[bit] += prices[part]
        self._known: dict[int, int] = {}

    def mask(self, parts: frozenset[str]) -> int:
        return sum(1 << bit for bit in {self._bit[part] for part in parts})

    def of(self, mask: int) -> int:
        if mask not in self._known:
            self._known[mask] = sum(
                price for bit, price in enumerate(self._prices) if mask >> bit & 1
            )
        return self._known[mask]


def least(layers: Sequence[Sequence[Option]], prices: Mapping[str, int]) -> list[int]:
    """The option of each layer with the least sum of costs and of the prices of needed parts.

    Prices are not negative. Of equal sums that with the earlier options of the earlier layers, as
    far as states were not dropped, is chosen; the same layers give the same choice.
    """
    price = _Prices(layers, prices)
    options = [_options(layer, price) for layer in layers]
    states = [_State(0, 0, None)]
    for layer, later in zip(options, _useful_later(options), strict=True):
        reached: dict[int, _State] = {}
        for state in states:
            for number, cost, parts in layer:
                total = state.cost + cost + price.of(parts & ~state.parts)
                left = (state.parts | parts) & later
                if left not in reached or total < reached[left].cost:
                    reached[left] = _State(total, left, (state, number))
        states = _undominated(list(reached.values()), price)
    return min(states, key=lambda state: state.cost).choices()


def _options(layer: Sequence[Option], price: _Prices) -> list[tuple[int, int, int]]:
    """Number, cost and parts of each option to which no other is equal or better in both."""
    kept: list[tuple[int, int, int]] = []
    numbered = [(number, one.cost, price.mask(one.parts)) for number, one in enumerate(layer)]
    for number, cost, parts in sorted(numbered, key=lambda one: one[1]):
        if not any(fewer & ~parts == 0 for _, _, fewer in kept):
            kept.append((number, cost, parts))
    return sorted(kept)


def _useful_later(layers: Sequence[Sequence[tuple[int, int, int]]]) -> list[int]:
    """After each layer, the parts that an option of a later one needs."""
    useful: list[int] = []
    later = 0
    for layer in reversed(layers):
        useful.append(later)
        for _, _, parts in layer:
            later |= parts
    return useful[::-1]


def _undominated(states: list[_State], price: _Prices) -> list[_State]:
    """The states from which the least sum may still be reached, cheapest first."""
    kept: list[_State] = []
    for state in sorted(states, key=lambda state: state.cost):
        if not any(
            other.cost + price.of(state.parts & ~other.parts) <= state.cost for other in kept
        ):
            kept.append(state)
    return kept
