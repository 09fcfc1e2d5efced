"""What a graph will cost on a board, by analysis: known before anything is built or run."""

from __future__ import annotations

from compress.integer.cost import bops
from compress.types import Graph
from hil.codegen.plan import make_plan
from hil.codegen.weight_storage import Weighted, stored_weights
from hil.types import Board, Estimate

# A bias, a multiplier and a shift for each output channel, all int32.
_BYTES_PER_CHANNEL = 12


def estimate(graph: Graph, board: Board) -> Estimate:
    """What analysis says of `graph` on `board`. Raises UnsupportedLayer where it has no kernel."""
    plan = make_plan(graph, board)
    return Estimate(
        macs=sum(step.macs for step in plan.steps),
        bops=bops(graph),
        weight_bytes=sum(_weight_bytes(graph, step.op) for step in plan.steps),
        arena_bytes=plan.arena_bytes,
        layers=len(plan.steps),
    )


def _weight_bytes(graph: Graph, op: object) -> int:
    """Bytes of an operator's weights as stored, its biases and scales."""
    if not isinstance(op, Weighted):
        return 0
    stored = stored_weights(graph, op)
    weights: int = graph.tensors[op.weights].elements if stored is None else stored.size_bytes
    return weights + _BYTES_PER_CHANNEL * graph.tensors[op.bias].elements
