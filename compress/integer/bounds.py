"""Bounds of every element of every activation that hold for any input of the graph."""

from __future__ import annotations

from compress.arithmetic.intervals import Bounds, full_range
from compress.operators.registry import operator_of
from compress.ops import inputs_of
from compress.types import Graph


def bounds(graph: Graph) -> dict[int, Bounds]:
    """Bounds of each activation by tensor index; the input has its type's full range.

    They hold, but need not be attained: operands are taken to be independent. Raises
    UnsupportedLayer for an operator whose parameters have no fixed-point form.
    """
    found = {graph.input: full_range(graph.input_tensor)}
    for op in graph.ops:
        operands = [found[index] for index in inputs_of(op)]
        found[op.output] = operator_of(op).bounds(graph, op, operands)
    return found
