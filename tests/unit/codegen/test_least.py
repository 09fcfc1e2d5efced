"""The least sum of costs and shared parts, compared with a search of all choices."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from hil.codegen.least import Option, least

PRICES = {"a": 7, "b": 3, "c": 12, "d": 0, "e": 5}

options = st.builds(Option, st.integers(0, 15), st.frozensets(st.sampled_from(sorted(PRICES))))
networks = st.lists(st.lists(options, min_size=1, max_size=4), min_size=1, max_size=5)


def total(
    layers: Sequence[Sequence[Option]], choice: Sequence[int], prices: Mapping[str, int]
) -> int:
    taken = [layer[number] for layer, number in zip(layers, choice, strict=True)]
    parts = frozenset[str]().union(*(option.parts for option in taken))
    return sum(option.cost for option in taken) + sum(prices[part] for part in parts)


@given(networks)
def test_the_choice_is_that_of_an_exhaustive_search(layers: list[list[Option]]) -> None:
    every = itertools.product(*(range(len(layer)) for layer in layers))
    found = least(layers, PRICES)
    assert total(layers, found, PRICES) == min(total(layers, one, PRICES) for one in every)
    assert found == least(layers, PRICES)


def test_a_part_is_charged_once() -> None:
    """Each of three layers saves 3 by a part of 7: together they pay for it, two do not."""
    layer = [Option(3, frozenset()), Option(0, frozenset("a"))]
    assert least([layer] * 2, PRICES) == [0, 0]
    assert least([layer] * 3, PRICES) == [1, 1, 1]


def test_of_equal_choices_the_first_is_taken() -> None:
    assert least([[Option(1, frozenset()), Option(1, frozenset())]] * 3, {}) == [0, 0, 0]


def test_many_layers_with_parts_of_their_own_have_few_states() -> None:
    """A hundred layers with eight options each end at once: 8^100 choices."""
    names = [f"own{index}" for index in range(100)]
    layers = [
        [
            *(Option(20 + n, frozenset({f"shared{n}"})) for n in range(7)),
            Option(0, frozenset({name})),
        ]
        for name in names
    ]
    prices = {**dict.fromkeys(names, 25), **{f"shared{n}": 100 for n in range(7)}}
    found = least(layers, prices)
    assert total(layers, found, prices) == 100 + 20 * 100
