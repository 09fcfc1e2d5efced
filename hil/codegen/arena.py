"""Placement of buffers in the arena, by the operators during which they are alive.

`hil.codegen.plan` decides what the buffers are and which of them share memory, and calls this.

Greedy (each buffer at the lowest gap that fits), tried in several orders, the best kept: Pisarchyk
and Lee, "Efficient Memory Management for Deep Neural Net Inference", arXiv:2001.03288.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from hil.kernel_interface.limits import round_up
from hil.kernel_interface.operator_kernels import SAME_BYTE
from hil.types import Board, Buffer

# By (output, input), the bytes by which the output has to start earlier to lie over the input;
# SAME_BYTE: it may do so from the input's first byte on only.
Leads = Mapping[tuple[int, int], int]
NO_LEADS: Leads = MappingProxyType({})
_SHUFFLES = 50


def alignment_bytes(board: Board) -> int:
    """Alignment of buffers: scratch holds words, MVE loads whole registers."""
    return 16 if "mve" in board.features else 4


def end_bytes(buffers: Sequence[Buffer]) -> int:
    """Bytes of arena up to the end of the topmost buffer."""
    return max(buffer.offset_bytes + buffer.size_bytes for buffer in buffers)


def lower_bound_bytes(buffers: Sequence[Buffer], alignment: int, leads: Leads = NO_LEADS) -> int:
    """Most bytes alive at once: no placement can need less."""
    return max(needed_bytes(buffers, alignment, leads))


def needed_bytes(buffers: Sequence[Buffer], alignment: int, leads: Leads = NO_LEADS) -> list[int]:
    """Bytes that are alive during each operator, each buffer rounded up.

    An output that may lie over an input shares its bytes, as far as its lead allows.
    """
    last = max(buffer.last_op for buffer in buffers)
    sizes = [round_up(buffer.size_bytes, alignment) for buffer in buffers]
    needed = [
        sum(size for buffer, size in zip(buffers, sizes, strict=True) if _alive(buffer, op))
        for op in range(last + 1)
    ]
    for (output, source), lead in leads.items():
        both = sizes[output] + sizes[source]
        together = max(sizes[output], round_up(max(lead, 0), alignment) + sizes[source])
        first = max(buffers[output].first_op, buffers[source].first_op)
        for op in range(first, min(buffers[output].last_op, buffers[source].last_op) + 1):
            needed[op] -= max(0, both - together)
    return needed


def place(buffers: Sequence[Buffer], alignment: int, leads: Leads = NO_LEADS) -> list[Buffer]:
    """Place `buffers` at aligned offsets so that those alive at the same time do not overlap.

    The pairs (output, input) of `leads`, positions in `buffers`, may: where the output starts as
    many bytes before the input, or more, or at its first byte. Returns the buffers in the given
    order. Tries several orders of placing, each buffer as low as possible or, first, over the
    other of its pair; then repeatedly puts the topmost buffer first, as often as there are buffers;
    with leads, tries shuffled orders, too. It ends where the peak is the lower bound.
    """
    bound = lower_bound_bytes(buffers, alignment, leads)
    best: list[Buffer] = []
    for latest in _attempts(buffers, alignment, leads):
        best = min([best, latest], key=end_bytes) if best else latest
        if end_bytes(best) <= bound:
            break
    return best


def _attempts(buffers: Sequence[Buffer], alignment: int, leads: Leads) -> Iterator[list[Buffer]]:
    """Placements in many orders; the same for the same buffers."""
    indices = range(len(buffers))
    orders = [sorted(indices, key=lambda i: key(buffers[i])) for key in _sort_keys(buffers)]
    modes = (False, True) if leads else (False,)
    for together in modes:
        first = [(_place_in(buffers, order, alignment, leads, together), order) for order in orders]
        yield from (placed for placed, _ in first)
        latest, order = min(first, key=lambda attempt: end_bytes(attempt[0]))
        for _ in indices:
            top = max(indices, key=lambda i: latest[i].offset_bytes + latest[i].size_bytes)
            order = [top, *(i for i in order if i != top)]
            latest = _place_in(buffers, order, alignment, leads, together)
            yield latest
    rng = random.Random(0)
    for _ in range(_SHUFFLES if leads else 0):
        order = rng.sample(indices, len(indices))
        yield from (_place_in(buffers, order, alignment, leads, mode) for mode in modes)


def _alive(buffer: Buffer, op: int) -> bool:
    return buffer.first_op <= op <= buffer.last_op


def _place_in(
    buffers: Sequence[Buffer], order: Sequence[int], alignment: int, leads: Leads, together: bool
) -> list[Buffer]:
    """Place each buffer, in `order`, at the lowest offset that is free while it is alive.

    With `together`, an offset where it lies over an output or an input of it comes first.
    """
    placed: dict[int, Buffer] = {}
    for index in order:
        buffer, offset = buffers[index], 0
        taken = sorted(
            span
            for place, other in placed.items()
            if buffer.first_op <= other.last_op and other.first_op <= buffer.last_op
            for span in _taken(buffer, other, leads.get((index, place)), leads.get((place, index)))
        )
        for first, end in taken:
            if offset > first:
                offset = max(offset, round_up(end, alignment))
        for wanted in _over_others(index, placed, alignment, leads) if together else ():
            if all(wanted <= first or wanted >= end for first, end in taken):
                offset = wanted
                break
        placed[index] = replace(buffer, offset_bytes=offset)
    return [placed[index] for index in range(len(buffers))]


def _over_others(
    index: int, placed: Mapping[int, Buffer], alignment: int, leads: Leads
) -> Iterator[int]:
    """The offsets at which buffer `index` shares as many bytes as it may with a placed one."""
    for (output, source), lead in leads.items():
        ahead = round_up(max(lead, 0), alignment)
        if index == output and source in placed and placed[source].offset_bytes >= ahead:
            yield placed[source].offset_bytes - ahead
        elif index == source and output in placed:
            yield placed[output].offset_bytes + ahead


def _taken(
    buffer: Buffer, other: Buffer, lead: int | None, others_lead: int | None
) -> Iterator[tuple[int, int]]:
    """The offsets between which `buffer` may not start beside the placed `other`: (first, end).

    It may start at `first` or before, and at `end` or later. `lead` is that of `buffer` before
    `other`, `others_lead` that of `other` before `buffer`.
    """
    before, at = other.offset_bytes - buffer.size_bytes, other.offset_bytes
    after = other.offset_bytes + other.size_bytes
    if SAME_BYTE in (lead, others_lead):
        yield before, at
        yield at, after
    else:
        yield (
            before if lead is None else at - lead,
            after if others_lead is None else at + others_lead,
        )


def _sort_keys(buffers: Sequence[Buffer]) -> list[Callable[[Buffer], tuple[int, ...]]]:
    """Orders to try: by size, breadth (most bytes alive at a time), area, lifetime, start."""
    alive = [
        sum(b.size_bytes for b in buffers if b.first_op <= op <= b.last_op)
        for op in range(max(b.last_op for b in buffers) + 1)
    ]
    return [
        lambda b: (-b.size_bytes,),
        lambda b: (-max(alive[b.first_op : b.last_op + 1]), -b.size_bytes),
        lambda b: (-b.size_bytes * (b.last_op - b.first_op + 1),),
        lambda b: (b.first_op - b.last_op, -b.size_bytes),
        lambda b: (b.first_op, -b.size_bytes),
    ]
