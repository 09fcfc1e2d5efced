"""Outputs over inputs: as far as a kernel's lead allows, never further."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hil.codegen.arena import end_bytes, lower_bound_bytes, place
from hil.kernel_interface.operator_kernels import SAME_BYTE
from hil.types import Buffer

sizes = st.lists(st.integers(1, 40), min_size=2, max_size=8)


def chain(tensors: list[int]) -> list[Buffer]:
    """Tensor i is written by operator i - 1 and last read by operator i."""
    return [
        Buffer(f"t{i}", 0, 4 * size, max(i - 1, 0), min(i, len(tensors) - 2))
        for i, size in enumerate(tensors)
    ]


def test_an_output_without_a_lead_takes_the_bytes_of_its_input() -> None:
    buffers = chain([10, 8])
    assert end_bytes(place(buffers, 4)) == 72
    placed = place(buffers, 4, {(1, 0): 0})
    assert end_bytes(placed) == 40
    assert placed[1].offset_bytes <= placed[0].offset_bytes


def test_a_lead_moves_the_input_up() -> None:
    source, output = place(chain([10, 16]), 4, {(1, 0): 24})
    assert source.offset_bytes - output.offset_bytes == 24
    assert end_bytes([source, output]) == 64


def test_an_output_in_place_starts_at_the_first_byte_of_its_input() -> None:
    buffers = [Buffer("below", 0, 12, 0, 0), *chain([10, 8, 6])]
    placed = place(buffers, 4, {(2, 1): SAME_BYTE, (3, 2): SAME_BYTE})
    assert len({buffer.offset_bytes for buffer in placed[1:]}) == 1
    assert end_bytes(placed) == 52


@given(sizes, st.data())
def test_placements_hold_every_lead(tensors: list[int], data: st.DataObject) -> None:
    buffers = chain(tensors)
    leads = {
        (i + 1, i): data.draw(st.integers(0, 20).map(lambda words: 4 * words) | st.just(SAME_BYTE))
        for i in range(len(tensors) - 1)
        if data.draw(st.booleans())
    }
    placed = place(buffers, 4, leads)
    for i, a in enumerate(placed):
        for j, b in enumerate(placed[:i]):
            if a.first_op > b.last_op or b.first_op > a.last_op:
                continue
            apart = (
                a.offset_bytes >= b.offset_bytes + b.size_bytes
                or b.offset_bytes >= a.offset_bytes + a.size_bytes
            )
            lead = leads.get((i, j))
            if lead == SAME_BYTE:
                assert apart or a.offset_bytes == b.offset_bytes
            else:
                assert apart or (lead is not None and a.offset_bytes + lead <= b.offset_bytes)
    bound = lower_bound_bytes(buffers, 4, leads)
    assert bound <= end_bytes(placed)
