"""The placement of buffers is the one that comparing each with all others gives."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.plain_placement import needed, placed
from hil.codegen.arena import end_bytes, lower_bound_bytes, needed_bytes, place
from hil.kernel_interface.operator_kernels import SAME_BYTE
from hil.types import Buffer


@st.composite
def buffer_lists(draw: st.DrawFn) -> list[Buffer]:
    last = draw(st.integers(0, 12))
    ops = st.integers(0, last)
    short = st.tuples(ops, ops).map(lambda life: (life[0], min(life[0] + 1, last)))
    lives = st.tuples(short | st.tuples(ops, ops), st.integers(1, 100))
    drawn = draw(st.lists(lives, min_size=1, max_size=20))
    return [Buffer("b", 0, size, min(life), max(life)) for life, size in drawn]


@settings(max_examples=100, deadline=None)
@given(buffer_lists(), st.sampled_from([4, 16]), st.data())
def test_buffers_are_placed_as_in_the_plain_form(
    buffers: list[Buffer], alignment: int, data: st.DataObject
) -> None:
    indices = st.integers(0, len(buffers) - 1)
    pairs = st.tuples(indices, indices).filter(lambda pair: pair[0] != pair[1])
    lead_bytes = st.just(SAME_BYTE) | st.integers(0, 60)
    several = len(buffers) > 1
    leads = data.draw(st.dictionaries(pairs, lead_bytes, max_size=6)) if several else {}
    assert needed_bytes(buffers, alignment, leads) == needed(buffers, alignment, leads)
    assert place(buffers, alignment, leads) == placed(buffers, alignment, leads)


def test_the_time_for_very_many_buffers_is_bounded() -> None:
    # No order reaches the bound here: each is tried.
    three = [(5, 0, 1), (3, 1, 3), (4, 2, 4), (6, 3, 3), (1, 0, 4)]
    buffers = [
        Buffer("b", 0, 4 * size, 5 * turn + first, 5 * turn + last + (turn % 7 == 0))
        for turn in range(600)
        for size, first, last in three
    ]
    began = time.process_time()
    found = place(buffers, 4)
    assert time.process_time() - began < 20  # hours, if each of 3,000 is compared with all others
    assert end_bytes(found) >= lower_bound_bytes(buffers, 4)
