"""Placement in the arena in a plain form, each buffer compared with all others, to compare with."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from hil.kernel_interface.limits import round_up
from hil.kernel_interface.operator_kernels import SAME_BYTE
from hil.types import Buffer

SHUFFLES = 50
Leads = Mapping[tuple[int, int], int]


def needed(buffers: Sequence[Buffer], alignment: int, leads: Leads) -> list[int]:
    """Bytes that are alive during each operator."""
    sizes = [round_up(buffer.size_bytes, alignment) for buffer in buffers]
    found = []
    for op in range(max(buffer.last_op for buffer in buffers) + 1):
        alive = [i for i, buffer in enumerate(buffers) if buffer.first_op <= op <= buffer.last_op]
        found.append(sum(sizes[i] for i in alive))
        for (output, source), lead in leads.items():
            if output in alive and source in alive:
                both = sizes[output] + sizes[source]
                over = max(sizes[output], round_up(max(lead, 0), alignment) + sizes[source])
                found[-1] -= max(0, both - over)
    return found


def placed(buffers: Sequence[Buffer], alignment: int, leads: Leads) -> list[Buffer]:
    """What `hil.codegen.arena.place` has to give."""
    bound = max(needed(buffers, alignment, leads))
    best: list[Buffer] = []
    for latest in attempts(buffers, alignment, leads):
        best = min([best, latest], key=end) if best else latest
        if end(best) <= bound:
            break
    return best


def end(buffers: Sequence[Buffer]) -> int:
    return max(buffer.offset_bytes + buffer.size_bytes for buffer in buffers)


def attempts(buffers: Sequence[Buffer], alignment: int, leads: Leads) -> Iterator[list[Buffer]]:
    indices = range(len(buffers))
    orders = [sorted(indices, key=lambda i: key(buffers[i])) for key in sort_keys(buffers)]
    modes = (False, True) if leads else (False,)
    for together in modes:
        first = [(place_in(buffers, order, alignment, leads, together), order) for order in orders]
        yield from (attempt for attempt, _ in first)
        latest, order = min(first, key=lambda attempt: end(attempt[0]))
        for _ in indices:
            top = max(indices, key=lambda i: latest[i].offset_bytes + latest[i].size_bytes)
            order = [top, *(i for i in order if i != top)]
            latest = place_in(buffers, order, alignment, leads, together)
            yield latest
    rng = random.Random(0)
    for _ in range(SHUFFLES if leads else 0):
        order = rng.sample(indices, len(indices))
        yield from (place_in(buffers, order, alignment, leads, mode) for mode in modes)


def sort_keys(buffers: Sequence[Buffer]) -> list[Callable[[Buffer], tuple[int, ...]]]:
    alive = needed(buffers, 1, {})
    return [
        lambda b: (-b.size_bytes,),
        lambda b: (-max(alive[b.first_op : b.last_op + 1]), -b.size_bytes),
        lambda b: (-b.size_bytes * (b.last_op - b.first_op + 1),),
        lambda b: (b.first_op - b.last_op, -b.size_bytes),
        lambda b: (b.first_op, -b.size_bytes),
    ]


def place_in(
    buffers: Sequence[Buffer], order: Sequence[int], alignment: int, leads: Leads, together: bool
) -> list[Buffer]:
    done: dict[int, Buffer] = {}
    for index in order:
        buffer, offset = buffers[index], 0
        taken = sorted(
            span
            for place, other in done.items()
            if buffer.first_op <= other.last_op and other.first_op <= buffer.last_op
            for span in spans(buffer, other, leads.get((index, place)), leads.get((place, index)))
        )
        for first, after in taken:
            if offset > first:
                offset = max(offset, round_up(after, alignment))
        for (output, source), lead in leads.items() if together else ():
            ahead = round_up(max(lead, 0), alignment)
            if index == output and source in done:
                wanted = done[source].offset_bytes - ahead
            elif index == source and output in done:
                wanted = done[output].offset_bytes + ahead
            else:
                continue
            if wanted >= 0 and all(wanted <= first or wanted >= after for first, after in taken):
                offset = wanted
                break
        done[index] = replace(buffer, offset_bytes=offset)
    return [done[index] for index in range(len(buffers))]


def spans(
    buffer: Buffer, other: Buffer, lead: int | None, others_lead: int | None
) -> list[tuple[int, int]]:
    at = other.offset_bytes
    before, after = at - buffer.size_bytes, at + other.size_bytes
    if SAME_BYTE in (lead, others_lead):
        return [(before, at), (at, after)]
    first = before if lead is None else at - lead
    return [(first, after if others_lead is None else at + others_lead)]
