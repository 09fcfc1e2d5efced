"""The choice of the segments of layers that are computed row by row, and of the kernels with them.

A graph is cut into runs of operators: single ones, on whole tensors, and segments. A run needs its
bytes of the arena whatever the others are. Dynamic programming over the cuts finds, for a limit of
bytes, the runs and kernels of least cost that stay within it. With the limits that make a
difference it gives the front of RAM against cycles.

A segment is tried in the whole graph, and of n operators up to n * n / 2 are: the length of those
that are tried is limited so that the work is bounded. Up to about 60 operators, all are tried; of
more than about 300, none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from compress.types import Graph
from hil.codegen.arena import alignment_bytes
from hil.codegen.layout import bytes_by_operator, bytes_of_kernels, lay_out
from hil.codegen.row_segments import RowKernels, segments_of
from hil.kernel_interface.limits import round_up
from hil.kernel_interface.operator_kernels import Kernel
from hil.segment import Segment
from hil.types import Board, Plan

# By operator's index and kernel, the cost of one row.
RowCosts = Mapping[tuple[int, Kernel], int]
# Without costs: what a layer costs row by row, in those of the whole layer, roughly.
_ROW_BY_ROW = 1.5
_NEXT_BEST = 0.1
# By how much a point of the front needs less than the one before.
_SMALLEST_STEP = 0.03
# Segments times operators that are looked at: a few seconds of work.
_MOST_WORK = 200_000


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What may run a graph on a board, and what it costs.

    `options` are for each operator the kernels on whole tensors, best first, `costs` what they
    cost; `rows` and `row_costs` are those for a row.
    """

    graph: Graph
    board: Board
    options: Sequence[Sequence[Kernel]]
    costs: Mapping[tuple[int, Kernel], int]
    rows: RowKernels
    row_costs: RowCosts


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Operators `first` to `end` - 1, as a segment or, if it is None, one on whole tensors.

    `choices` are for each operator the kernels that may run it, with the bytes that are alive
    meanwhile and the cost.
    """

    first: int
    end: int
    segment: Segment | None
    choices: tuple[tuple[tuple[Kernel, int, float], ...], ...]

    @property
    def least_bytes(self) -> int:
        return max(min(needed for _, needed, _ in options) for options in self.choices)

    def best(self, limit_bytes: int) -> tuple[float, tuple[Kernel, ...]]:
        """The cost and the kernels that cost least within a limit of at least `least_bytes`."""
        chosen = [
            min((one for one in options if one[1] <= limit_bytes), key=lambda one: one[2])
            for options in self.choices
        ]
        return sum(cost for _, _, cost in chosen), tuple(kernel for kernel, _, _ in chosen)


def least_ram(
    candidates: Candidates, below_bytes: float = math.inf, known: Sequence[Run] = ()
) -> Plan | None:
    """The plan with the smallest arena that segments give; None if there is no segment.

    Segments that do not get below `below_bytes` are not looked at. `known` are the runs, if they
    were found before.
    """
    runs = known or find_runs(candidates, below_bytes)
    if all(run.segment is None for run in runs):
        return None
    count = len(candidates.graph.ops)
    plans: dict[tuple[tuple[int, Kernel], ...], Plan] = {}

    def placed(chosen: Sequence[Run], limit: int | None) -> Plan:
        """The plan of runs; other limits may give the same kernels."""
        key = tuple((run.end, kernel) for run in chosen for kernel in _best(run, limit))
        if key not in plans:
            plans[key] = plan_of(candidates, chosen, limit)
        return plans[key]

    for limit in sorted({run.least_bytes for run in runs}):
        found = cheapest(runs, count, limit)
        if found is None:
            continue
        if placed(found, limit).arena_bytes > limit:  # the buffers were not placed without gaps
            smaller = cheapest(runs, count, limit, by_bytes=True)
            for other in filter(None, (found, smaller)):
                placed(other, None)
        if limit >= min(plan.arena_bytes for plan in plans.values()):
            break
    return min(plans.values(), key=lambda plan: plan.arena_bytes)


def plans_from_fastest(candidates: Candidates) -> list[Plan]:
    """Plans from the fastest to the smallest, each by a few percent smaller than the one before.

    The last is that of `least_ram`, if it is smaller than all others.
    """
    runs = find_runs(candidates)
    needs = {one[1] for run in runs for options in run.choices for one in options}
    plans: list[Plan] = []
    limit: float = math.inf
    while below := [need for need in needs if need < limit]:
        found = cheapest(runs, len(candidates.graph.ops), max(below))
        if found is None:
            break
        # What it needs: a limit changes nothing before it is less than that.
        limit = max(_needed(run, max(below)) for run in found)
        plan = plan_of(candidates, found, max(below))
        if not plans or plan.arena_bytes <= (1 - _SMALLEST_STEP) * plans[-1].arena_bytes:
            plans.append(plan)
    smallest = least_ram(candidates, known=runs)
    if smallest is not None and smallest.arena_bytes < plans[-1].arena_bytes:
        plans.append(smallest)
    return plans


def _needed(run: Run, limit_bytes: int) -> int:
    _, kernels = run.best(limit_bytes)
    return max(
        needed
        for options, kernel in zip(run.choices, kernels, strict=True)
        for other, needed, _ in options
        if other == kernel
    )


def plan_of(candidates: Candidates, runs: Sequence[Run], limit_bytes: int | None = None) -> Plan:
    """The plan of runs with their best kernels within a limit, by default with the smallest."""
    kernels = [kernel for run in runs for kernel in _best(run, limit_bytes)]
    segments = [run.segment for run in runs if run.segment is not None]
    return lay_out(candidates.graph, candidates.board, kernels, segments)


def _best(run: Run, limit_bytes: int | None) -> tuple[Kernel, ...]:
    return run.best(run.least_bytes if limit_bytes is None else limit_bytes)[1]


def cheapest(
    runs: Sequence[Run], count: int, limit_bytes: int, *, by_bytes: bool = False
) -> list[Run] | None:
    """The runs that cover `count` operators and cost least within the limit; None if none do.

    With `by_bytes` those that need least on the whole.
    """
    best: dict[int, tuple[float, list[Run]]] = {0: (0.0, [])}
    for run in sorted(runs, key=lambda run: (run.end, run.first)):
        if run.first not in best or run.least_bytes > limit_bytes:
            continue
        own = float(run.least_bytes) if by_bytes else run.best(limit_bytes)[0]
        cost = best[run.first][0] + own
        if run.end not in best or cost < best[run.end][0]:
            best[run.end] = (cost, [*best[run.first][1], run])
    return best[count][1] if count in best else None


def find_runs(candidates: Candidates, below_bytes: float = math.inf) -> list[Run]:
    """All runs: each operator on whole tensors with the kernels in `options`, and all segments.

    Segments that cannot need less than `below_bytes`, and those that are too long, are left out.
    """
    graph, options = candidates.graph, candidates.options
    needs = bytes_of_kernels(graph, candidates.board, options)
    runs = []
    for index, known in enumerate(options):
        costs = (
            candidates.costs.get((index, kernel), 1 + _NEXT_BEST * rank)
            for rank, kernel in enumerate(known)
        )
        choices = tuple(zip(known, needs[index], map(float, costs), strict=True))
        runs.append(Run(index, index + 1, None, (choices,)))
    longest = _MOST_WORK // len(options) ** 2
    for segment, kernels in segments_of(graph, candidates.rows, below_bytes, longest):
        runs.append(_segment_run(candidates, segment, kernels))
    return runs


def _segment_run(
    candidates: Candidates, segment: Segment, kernels: Sequence[Sequence[Kernel]]
) -> Run:
    """A segment with the kernels that may run each of its layers."""
    graph, board = candidates.graph, candidates.board
    sums = [layer.sums for layer in segment.layers]
    bare = [
        known[0] if is_sum else replace(known[0], scratch_bytes=0)
        for known, is_sum in zip(kernels, sums, strict=True)
    ]
    first = [known[0] for known in candidates.options]
    everywhere = [*first[: segment.first], *bare, *first[segment.last + 1 :]]
    needed = bytes_by_operator(graph, board, everywhere, [segment])
    alignment = alignment_bytes(board)
    choices = []
    for position, known in enumerate(kernels):
        index = segment.first + position
        own = []
        for rank, kernel in enumerate(known):
            scratch = 0 if sums[position] else round_up(kernel.scratch_bytes, alignment)
            row = candidates.row_costs.get((index, kernel))
            cost = _ROW_BY_ROW + _NEXT_BEST * rank if row is None else row * segment.runs(position)
            own.append((kernel, needed[index] + scratch, float(cost)))
        choices.append(tuple(own))
    return Run(segment.first, segment.last + 1, segment, tuple(choices))
