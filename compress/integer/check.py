"""Validity check of a `Graph`: indices, order, types, shapes and quantization.

A graph that passes can be executed, exported and rendered without further checks.
"""

from __future__ import annotations

from compress.errors import UnsupportedLayer
from compress.operator_interface.checks import check_activation, require
from compress.operators.registry import operator_of
from compress.ops import Op, activations_of, constants_of, inputs_of, outputs_of
from compress.types import Graph, Variable


def check_graph(graph: Graph) -> None:
    """Raise UserError for an inconsistent graph, UnsupportedLayer for what has no kernel."""
    count = len(graph.tensors)
    require(bool(graph.inputs and graph.outputs), graph.name, "no input or no output")
    edges = (*graph.sources, *graph.results)
    require(all(0 <= index < count for index in edges), graph.name, "input or output")
    require(len(set(graph.sources)) == len(graph.sources), graph.name, "input given twice")
    for index in edges:
        check_activation(graph.tensors[index])
    ready = set(graph.sources)
    for op in graph.ops:
        outputs = outputs_of(op)
        indices = (*activations_of(op), *constants_of(op))
        require(len(inputs_of(op)) > 0, op.name, "no input")
        require(all(0 <= i < count for i in indices), op.name, "tensor indices")
        require(ready.issuperset(inputs_of(op)), op.name, "input before it is computed")
        twice = ready.intersection(outputs) or len(set(outputs)) < len(outputs)
        require(not twice, op.name, "output written twice")
        ready.update(outputs)
        for index in outputs:
            check_activation(graph.tensors[index])
        check_operator(graph, op)
    require(ready.issuperset(graph.results), graph.name, "output is never computed")
    for variable in graph.variables:
        _check_variable(graph, variable)


def check_operator(graph: Graph, op: Op) -> None:
    """Raise as `check_graph` for an operator whose activations pass by themselves."""
    _check_types(graph, op)
    operator_of(op).check(graph, op)


def _check_variable(graph: Graph, variable: Variable) -> None:
    """Require that what is written can be read at the next inference."""
    read, written = graph.tensors[variable.read], graph.tensors[variable.written]
    same = [(t.shape, t.dtype, t.scales, t.zero_point) for t in (read, written)]
    require(same[0] == same[1], graph.name, f"state {read.name} and {written.name} differ")
    initial = (variable.initial.shape, variable.initial.dtype)
    require(initial == (read.shape, read.item), graph.name, f"first value of {read.name}")


def _check_types(graph: Graph, op: Op) -> None:
    """Require one type of inputs and output, int16 only where there is a kernel for it."""
    operator = operator_of(op)
    types = {graph.tensors[index].dtype for index in activations_of(op)}
    if len(types) > 1 and not operator.converts:
        raise UnsupportedLayer(f"{op.name}: {type(op).__name__} of {' and '.join(sorted(types))}")
    if "int16" in types and not operator.on_int16:
        raise UnsupportedLayer(f"{op.name}: there is no {type(op).__name__} on int16")
    for index in () if operator.int16_zero_points else activations_of(op):
        tensor = graph.tensors[index]
        if tensor.dtype == "int16" and tensor.zero_point != 0:
            raise UnsupportedLayer(
                f"{op.name}: {tensor.name} is int16 with zero point {tensor.zero_point}, must be 0"
            )
