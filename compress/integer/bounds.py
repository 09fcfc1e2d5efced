"""Bounds of every element of every activation that hold for any input of the graph."""

from __future__ import annotations

from compress.arithmetic.intervals import Bounds, full_range
from compress.operators.registry import operator_of
from compress.ops import inputs_of, outputs_of
from compress.types import Graph


def bounds(graph: Graph) -> dict[int, Bounds]:
    """Bounds of each activation by tensor index; inputs and states have their type's full range.

    They hold, but need not be attained: operands are taken to be independent. Raises
    UnsupportedLayer for an operator whose parameters have no fixed-point form.
    """
    found = {index: full_range(graph.tensors[index]) for index in graph.sources}
    for op in graph.ops:
        operands = [found[index] for index in inputs_of(op)]
        outputs = outputs_of(op)
        if len(outputs) == 1:
            found[outputs[0]] = operator_of(op).bounds(graph, op, operands)
        else:
            found.update({index: full_range(graph.tensors[index]) for index in outputs})
    return found
