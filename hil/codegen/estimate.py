"""Costs of a graph on a board by analysis, before anything is built or run."""

from __future__ import annotations

import math
from collections.abc import Sequence

from compress.integer.cost import bops
from compress.types import Graph
from hil.codegen.fitting import fitting_plan
from hil.codegen.row_layers import row_operator
from hil.kernels.registry import kernels_of
from hil.tuned_kernels.registry import tuned_kernel
from hil.types import Board, Buffer, Estimate, Memory, Plan, Step


def estimate(
    graph: Graph, board: Board, saves: Memory = "flash", arena_bytes: float = math.inf
) -> Estimate:
    """Work, stored weights and arena of `graph`, which `arena_bytes` limits as in `fitting_plan`.

    Raises UnsupportedLayer without a kernel.
    """
    plan = fitting_plan(graph, board, saves, arena_bytes)
    return Estimate(
        macs=sum(step.macs for step in plan.steps),
        bops=bops(graph),
        weight_bytes=sum(_weight_bytes(plan, step) for step in plan.steps),
        arena_bytes=plan.arena_bytes,
        layers=len(plan.steps),
    )


def layer_bytes(plan: Plan) -> tuple[tuple[int, int], ...]:
    """Of each layer the stored bytes of its weights, and the bytes of the arena that it needs.

    Buffers that are alive at once may overlap (an output over its input): shared bytes count once.
    """
    buffers = list({id(buffer): buffer for buffer in plan.tensors.values()}.values())
    for step in plan.steps:
        buffers += [one for one in (step.scratch, step.expanded) if one is not None]
    return tuple(
        (
            _weight_bytes(plan, step),
            _covered([b for b in buffers if b.first_op <= step.index <= b.last_op]),
        )
        for step in plan.steps
    )


def _covered(buffers: Sequence[Buffer]) -> int:
    """The bytes that lie in at least one of the buffers."""
    total, end = 0, 0
    for buffer in sorted(buffers, key=lambda buffer: buffer.offset_bytes):
        last = buffer.offset_bytes + buffer.size_bytes
        total += max(0, last - max(end, buffer.offset_bytes))
        end = max(end, last)
    return total


def _weight_bytes(plan: Plan, step: Step) -> int:
    """Of a layer that is computed row by row, those of the operator that makes a row."""
    graph, op = plan.graph, step.op
    segment = plan.segment_of(step.index)
    if segment is not None:
        graph, op = row_operator(graph, segment.layers[step.index - segment.first])
    tuned = tuned_kernel(op, step.kernel)
    if tuned is not None:
        return tuned.weight_bytes(graph, op)
    return kernels_of(op).weight_bytes(graph, step, op)
