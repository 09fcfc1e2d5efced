"""A graph made ready for a .tflite file: without what is unused, with weights TFLite can read."""

from __future__ import annotations

import dataclasses
from typing import Any

from compress.ops import Conv2D, DepthwiseConv2D, FullyConnected, Op, constants_of, inputs_of
from compress.types import Graph

_INDEX_FIELDS = frozenset(("input", "inputs", "left", "right", "weights", "bias", "output"))


def referenced_only(graph: Graph) -> Graph:
    """The same graph without the tensors that no operator refers to; order is kept."""
    used = {graph.input, graph.output}
    for op in graph.ops:
        used.update(inputs_of(op), constants_of(op), (op.output,))
    ordered = sorted(used)
    index = {old: new for new, old in enumerate(ordered)}
    ops = []
    for op in graph.ops:
        fields = [f.name for f in dataclasses.fields(op) if f.name in _INDEX_FIELDS]
        changes: dict[str, Any] = {}
        for name in fields:
            old = getattr(op, name)
            changes[name] = tuple(index[i] for i in old) if name == "inputs" else index[old]
        ops.append(dataclasses.replace(op, **changes))
    tensors = tuple(graph.tensors[i] for i in ordered)
    return Graph(graph.name, tensors, tuple(ops), index[graph.input], index[graph.output])


def with_known_weights(graph: Graph) -> Graph:
    """int4 weights as int8 where an operator that reads them has no kernel for int4: on int16
    (release 2.14 would take the packed bytes for int8), a FULLY_CONNECTED with a scale per unit."""
    tensors = list(graph.tensors)
    for op in graph.ops:
        if isinstance(op, Conv2D | DepthwiseConv2D | FullyConnected):
            per_unit = isinstance(op, FullyConnected) and len(tensors[op.weights].scales) > 1
            if tensors[op.weights].dtype == "int4" and (per_unit or on_int16(graph, op)):
                tensors[op.weights] = dataclasses.replace(tensors[op.weights], dtype="int8")
    return dataclasses.replace(graph, tensors=tuple(tensors))


def on_int16(graph: Graph, op: Op) -> bool:
    """Whether the operator reads int16 activations."""
    return graph.tensors[inputs_of(op)[0]].dtype == "int16"
