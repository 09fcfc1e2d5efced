"""Validity check of a `Graph`: indices, order, types, shapes and quantization.

A graph that passes can be executed, exported and rendered without further checks.
"""

from __future__ import annotations

from compress.errors import UnsupportedLayer
from compress.operators.checks import check_activation, require
from compress.operators.registry import operator_of
from compress.ops import Op, constants_of, inputs_of
from compress.types import Graph


def check_graph(graph: Graph) -> None:
    """Raise UserError for an inconsistent graph, UnsupportedLayer for what has no kernel."""
    count = len(graph.tensors)
    require(0 <= graph.input < count and 0 <= graph.output < count, graph.name, "input or output")
    ready = {graph.input}
    for edge in (graph.input_tensor, graph.output_tensor):
        check_activation(edge)
        if edge.dtype != "int8":
            raise UnsupportedLayer(f"{edge.name}: input and output must be int8, not {edge.dtype}")
    for op in graph.ops:
        indices = (*inputs_of(op), *constants_of(op), op.output)
        require(len(inputs_of(op)) > 0, op.name, "no input")
        require(all(0 <= i < count for i in indices), op.name, "tensor indices")
        require(ready.issuperset(inputs_of(op)), op.name, "input before it is computed")
        require(op.output not in ready, op.name, "output written twice")
        ready.add(op.output)
        check_activation(graph.tensors[op.output])
        _check_types(graph, op)
        operator_of(op).check(graph, op)
    require(graph.output in ready, graph.name, "output is never computed")


def _check_types(graph: Graph, op: Op) -> None:
    """Require one type of inputs and output, int16 only where there is a kernel for it."""
    operator = operator_of(op)
    types = {graph.tensors[index].dtype for index in (*inputs_of(op), op.output)}
    if len(types) > 1 and not operator.converts:
        raise UnsupportedLayer(f"{op.name}: {type(op).__name__} of {' and '.join(sorted(types))}")
    if "int16" in types and not operator.on_int16:
        raise UnsupportedLayer(f"{op.name}: there is no {type(op).__name__} on int16")
