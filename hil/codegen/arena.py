"""Placement of buffers in the arena, by the operators during which they are alive.

`hil.codegen.plan` decides what the buffers are and which of them share memory, and calls this.

Greedy (each buffer at the lowest gap that fits), tried in several orders, the best kept: Pisarchyk
and Lee, "Efficient Memory Management for Deep Neural Net Inference", arXiv:2001.03288.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from types import MappingProxyType

from hil.kernel_interface.limits import round_up
from hil.kernel_interface.operator_kernels import SAME_BYTE
from hil.types import Board, Buffer

# By (output, input), the bytes by which the output has to start earlier to lie over the input;
# SAME_BYTE: it may do so from the input's first byte on only.
Leads = Mapping[tuple[int, int], int]
NO_LEADS: Leads = MappingProxyType({})
_SHUFFLES = 50
# Of very many buffers fewer orders are tried: a second of work, about.
_MOST_PLACED = 100_000
_NOT_PLACED = -1


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
    sizes = [round_up(buffer.size_bytes, alignment) for buffer in buffers]
    spans = [
        (buffer.first_op, buffer.last_op, size) for buffer, size in zip(buffers, sizes, strict=True)
    ]
    for (output, source), lead in leads.items():
        both = sizes[output] + sizes[source]
        together = max(sizes[output], round_up(max(lead, 0), alignment) + sizes[source])
        first = max(buffers[output].first_op, buffers[source].first_op)
        last = min(buffers[output].last_op, buffers[source].last_op)
        if first <= last:
            spans.append((first, last, -max(0, both - together)))
    return _sums(spans, max(buffer.last_op for buffer in buffers) + 1)


def _sums(spans: Iterable[tuple[int, int, int]], count: int) -> list[int]:
    """For each of `count` operators the sum of the sizes of the spans (first, last, size)."""
    changes = [0] * (count + 1)
    for first, last, size in spans:
        changes[first] += size
        changes[last + 1] -= size
    return list(accumulate(changes))[:-1]


def place(buffers: Sequence[Buffer], alignment: int, leads: Leads = NO_LEADS) -> list[Buffer]:
    """Place `buffers` at aligned offsets so that those alive at the same time do not overlap.

    The pairs (output, input) of `leads`, positions in `buffers`, may: where the output starts as
    many bytes before the input, or more, or at its first byte. Returns the buffers in the given
    order. Tries several orders of placing, each buffer as low as possible or, first, over the
    other of its pair; then repeatedly puts the topmost buffer first, as often as there are buffers
    but for very many; with leads, tries shuffled orders, too. It ends where the peak is the lower
    bound.
    """
    bound = lower_bound_bytes(buffers, alignment, leads)
    problem = _problem(buffers, alignment, leads)
    best: list[int] = []
    least = math.inf
    for latest in _attempts(problem):
        end = problem.end_bytes(latest)
        if end < least:
            best, least = latest, end
        if least <= bound:
            break
    return [
        replace(buffer, offset_bytes=offset) for buffer, offset in zip(buffers, best, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Problem:
    """The buffers to place. Offsets, in lists, are in their order.

    By buffer: `beside` are the others that are alive at the same time, `pairs` the leads with one
    of them, (other, lead, whether the other is the input).
    """

    buffers: Sequence[Buffer]
    alignment: int
    leads: Leads
    beside: Sequence[Sequence[int]]
    pairs: Sequence[Sequence[tuple[int, int, bool]]]

    def end_bytes(self, offsets: Sequence[int]) -> int:
        """The end of the topmost buffer."""
        return max(map(self.end_of(offsets), range(len(offsets))))

    def end_of(self, offsets: Sequence[int]) -> Callable[[int], int]:
        """The end of a buffer by its index."""
        return lambda index: offsets[index] + self.buffers[index].size_bytes


def _problem(buffers: Sequence[Buffer], alignment: int, leads: Leads) -> _Problem:
    beside: list[list[int]] = [[] for _ in buffers]
    alive: list[int] = []
    for index in sorted(range(len(buffers)), key=lambda i: buffers[i].first_op):
        first = buffers[index].first_op
        alive = [other for other in alive if buffers[other].last_op >= first]
        beside[index] += alive
        for other in alive:
            beside[other].append(index)
        alive.append(index)
    pairs: list[list[tuple[int, int, bool]]] = [[] for _ in buffers]
    for (output, source), lead in leads.items():
        pairs[output].append((source, lead, True))
        pairs[source].append((output, lead, False))
    return _Problem(buffers, alignment, leads, beside, pairs)


def _attempts(problem: _Problem) -> Iterator[list[int]]:
    """The offsets of placements in many orders; the same for the same buffers."""
    indices = range(len(problem.buffers))
    orders = [
        sorted(indices, key=lambda i: key(problem.buffers[i]))
        for key in _sort_keys(problem.buffers)
    ]
    modes = (False, True) if problem.leads else (False,)
    for together in modes:
        first = [(_place_in(problem, order, together), order) for order in orders]
        yield from (placed for placed, _ in first)
        latest, order = min(first, key=lambda attempt: problem.end_bytes(attempt[0]))
        yield from _topmost_first(problem, latest, order, together)
    rng = random.Random(0)
    for _ in range(min(_SHUFFLES, _most_attempts(problem)) if problem.leads else 0):
        order = rng.sample(indices, len(indices))
        yield from (_place_in(problem, order, mode) for mode in modes)


def _most_attempts(problem: _Problem) -> int:
    return max(1, _MOST_PLACED // len(problem.buffers))


def _topmost_first(
    problem: _Problem, latest: list[int], order: list[int], together: bool
) -> Iterator[list[int]]:
    """Placements, in each of which the buffer that was topmost in the one before comes first.

    They end where they would only repeat themselves.
    """
    indices = range(len(latest))
    # Brent, "An improved Monte Carlo factorization algorithm", BIT 20 (1980): cycles are found by
    # the order of one earlier attempt, which is replaced at each power of two.
    earlier, since, power = order, 0, 1
    for _ in range(min(len(latest), _most_attempts(problem))):
        top = max(indices, key=problem.end_of(latest))
        order = [top, *(i for i in order if i != top)]
        if order == earlier:
            return
        since += 1
        if since == power:
            earlier, since, power = order, 0, 2 * power
        latest = _place_in(problem, order, together)
        yield latest


def _place_in(problem: _Problem, order: Sequence[int], together: bool) -> list[int]:
    """Place each buffer, in `order`, at the lowest offset that is free while it is alive.

    With `together`, an offset where it lies over an output or an input of it comes first.
    """
    offsets = [_NOT_PLACED] * len(order)
    for index in order:
        offset = 0
        taken = sorted(
            span
            for other in problem.beside[index]
            if offsets[other] != _NOT_PLACED
            for span in _taken(problem, index, other, offsets[other])
        )
        for first, end in taken:
            if offset > first:
                offset = max(offset, round_up(end, problem.alignment))
        for wanted in _over_others(problem, index, offsets) if together else ():
            if all(wanted <= first or wanted >= end for first, end in taken):
                offset = wanted
                break
        offsets[index] = offset
    return offsets


def _over_others(problem: _Problem, index: int, offsets: Sequence[int]) -> Iterator[int]:
    """The offsets at which buffer `index` shares as many bytes as it may with a placed one."""
    for other, lead, is_input in problem.pairs[index]:
        ahead = round_up(max(lead, 0), problem.alignment)
        if offsets[other] == _NOT_PLACED:
            continue
        if not is_input:
            yield offsets[other] + ahead
        elif offsets[other] >= ahead:
            yield offsets[other] - ahead


def _taken(problem: _Problem, index: int, other: int, at: int) -> Sequence[tuple[int, int]]:
    """The offsets between which a buffer may not start beside one that is at `at`: (first, end).

    It may start at `first` or before, and at `end` or later. A lead of the buffer before the other
    one moves `first`, one of the other before the buffer moves `end`.
    """
    before = at - problem.buffers[index].size_bytes
    after = at + problem.buffers[other].size_bytes
    if not problem.pairs[index]:
        return ((before, after),)
    lead, others_lead = problem.leads.get((index, other)), problem.leads.get((other, index))
    if SAME_BYTE in (lead, others_lead):
        return (before, at), (at, after)
    first = before if lead is None else at - lead
    return ((first, after if others_lead is None else at + others_lead),)


def _sort_keys(buffers: Sequence[Buffer]) -> list[Callable[[Buffer], tuple[int, ...]]]:
    """Orders to try: by size, breadth (most bytes alive at a time), area, lifetime, start."""
    alive = _sums(
        ((b.first_op, b.last_op, b.size_bytes) for b in buffers),
        max(b.last_op for b in buffers) + 1,
    )
    return [
        lambda b: (-b.size_bytes,),
        lambda b: (-max(alive[b.first_op : b.last_op + 1]), -b.size_bytes),
        lambda b: (-b.size_bytes * (b.last_op - b.first_op + 1),),
        lambda b: (b.first_op - b.last_op, -b.size_bytes),
        lambda b: (b.first_op, -b.size_bytes),
    ]
