"""The choice of the segments of layers that are computed row by row, and of the kernels with them.

A graph is cut into runs of operators: single ones, on whole tensors, and segments. A run needs its
bytes of the arena whatever the others are. Dynamic programming over the cuts finds, for a limit of
bytes, the runs and kernels of least cost that stay within it. With the limits that make a
difference it gives the front of RAM against cycles.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from compress.types import Graph
from hil.codegen.arena import alignment_bytes
from hil.codegen.layout import bytes_by_operator, lay_out
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
    graph: Graph,
    board: Board,
    options: Sequence[Sequence[Kernel]],
    costs: Mapping[tuple[int, Kernel], int],
    rows: RowKernels,
    row_costs: RowCosts,
    below_bytes: float = math.inf,
    known: Sequence[Run] = (),
) -> Plan | None:
    """The plan with the smallest arena that segments give; None if there is no segment.

    Segments that do not get below `below_bytes` are not looked at. `known` are the runs, if they
    were found before.
    """
    runs = known or find_runs(graph, board, options, costs, rows, row_costs, below_bytes)
    if all(run.segment is None for run in runs):
        return None
    limits = sorted({run.least_bytes for run in runs})
    plans: list[Plan] = []
    for limit in limits:
        found = cheapest(runs, len(graph.ops), limit)
        if found is None:
            continue
        plans.append(plan_of(graph, board, found, limit))
        if plans[-1].arena_bytes > limit:  # the buffers were not placed without gaps
            smaller = cheapest(runs, len(graph.ops), limit, by_bytes=True)
            plans += [plan_of(graph, board, other) for other in (found, smaller) if other]
        if limit >= min(plan.arena_bytes for plan in plans):
            break
    return min(plans, key=lambda plan: plan.arena_bytes)


def plans_from_fastest(
    graph: Graph,
    board: Board,
    options: Sequence[Sequence[Kernel]],
    costs: Mapping[tuple[int, Kernel], int],
    rows: RowKernels,
    row_costs: RowCosts,
) -> list[Plan]:
    """Plans from the fastest to the smallest, each by a few percent smaller than the one before.

    The last is that of `least_ram`, if it is smaller than all others.
    """
    runs = find_runs(graph, board, options, costs, rows, row_costs)
    needs = {one[1] for run in runs for options in run.choices for one in options}
    plans: list[Plan] = []
    limit: float = math.inf
    while below := [need for need in needs if need < limit]:
        found = cheapest(runs, len(graph.ops), max(below))
        if found is None:
            break
        # What it needs: a limit changes nothing before it is less than that.
        limit = max(_needed(run, max(below)) for run in found)
        plan = plan_of(graph, board, found, max(below))
        if not plans or plan.arena_bytes <= (1 - _SMALLEST_STEP) * plans[-1].arena_bytes:
            plans.append(plan)
    smallest = least_ram(graph, board, options, costs, rows, row_costs, known=runs)
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


def plan_of(
    graph: Graph, board: Board, runs: Sequence[Run], limit_bytes: int | None = None
) -> Plan:
    """The plan of runs with their best kernels within a limit, by default with the smallest."""
    kernels = [
        kernel
        for run in runs
        for kernel in run.best(run.least_bytes if limit_bytes is None else limit_bytes)[1]
    ]
    segments = [run.segment for run in runs if run.segment is not None]
    return lay_out(graph, board, kernels, segments)


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


def find_runs(
    graph: Graph,
    board: Board,
    options: Sequence[Sequence[Kernel]],
    costs: Mapping[tuple[int, Kernel], int],
    rows: RowKernels,
    row_costs: RowCosts,
    below_bytes: float = math.inf,
) -> list[Run]:
    """All runs: each operator on whole tensors with the kernels in `options`, and all segments.

    Segments that cannot need less than `below_bytes` are left out.
    """
    runs = [_single(graph, board, options, index, costs) for index in range(len(graph.ops))]
    for segment, kernels in segments_of(graph, rows, below_bytes):
        runs.append(_segment_run(graph, board, options, segment, kernels, row_costs))
    return runs


def _single(
    graph: Graph,
    board: Board,
    options: Sequence[Sequence[Kernel]],
    index: int,
    costs: Mapping[tuple[int, Kernel], int],
) -> Run:
    first = [known[0] for known in options]
    choices = []
    bare: dict[Kernel, int] = {}  # bytes beside scratch: leads and expanded weights change them
    for rank, kernel in enumerate(options[index]):
        other = replace(kernel, scratch_bytes=0)
        if other not in bare:
            kernels = [*first[:index], other, *first[index + 1 :]]
            bare[other] = bytes_by_operator(graph, board, kernels)[index]
        needed = bare[other] + round_up(kernel.scratch_bytes, alignment_bytes(board))
        cost = costs.get((index, kernel), 1 + _NEXT_BEST * rank)
        choices.append((kernel, needed, float(cost)))
    return Run(index, index + 1, None, (tuple(choices),))


def _segment_run(
    graph: Graph,
    board: Board,
    options: Sequence[Sequence[Kernel]],
    segment: Segment,
    kernels: Sequence[Sequence[Kernel]],
    row_costs: RowCosts,
) -> Run:
    """A segment with the kernels that may run each of its layers."""
    sums = [layer.sums for layer in segment.layers]
    bare = [
        known[0] if is_sum else replace(known[0], scratch_bytes=0)
        for known, is_sum in zip(kernels, sums, strict=True)
    ]
    first = [known[0] for known in options]
    everywhere = [*first[: segment.first], *bare, *first[segment.last + 1 :]]
    needed = bytes_by_operator(graph, board, everywhere, [segment])
    alignment = alignment_bytes(board)
    choices = []
    for position, known in enumerate(kernels):
        index = segment.first + position
        own = []
        for rank, kernel in enumerate(known):
            scratch = 0 if sums[position] else round_up(kernel.scratch_bytes, alignment)
            row = row_costs.get((index, kernel))
            cost = _ROW_BY_ROW + _NEXT_BEST * rank if row is None else row * segment.runs(position)
            own.append((kernel, needed[index] + scratch, float(cost)))
        choices.append(tuple(own))
    return Run(segment.first, segment.last + 1, segment, tuple(choices))
