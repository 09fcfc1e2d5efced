"""Layers that make their output row by row, each row from a window of rows of their inputs.

A row is made by the layer's own operator on smaller tensors: the window, whose rows above and below
the input hold its zero point, and one row of the output. So every kernel that takes this operator
is a row kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from compress.ops import (
    Add,
    AveragePool2D,
    Conv2D,
    DepthwiseConv2D,
    Lookup,
    MaxPool2D,
    Op,
    Requantize,
    Table,
    constants_of,
    inputs_of,
    outputs_of,
    renumbered,
)
from compress.types import Graph, Tensor
from hil.segment import RowInput, RowLayer


def row_layer(graph: Graph, index: int) -> RowLayer | None:
    """The layer of an operator; None for one that is not made row by row."""
    op = graph.ops[index]
    tensors = [graph.tensors[i] for i in (*inputs_of(op), *outputs_of(op))]
    if any(tensor.dtype != "int8" or len(tensor.shape) != 4 for tensor in tensors):
        return None
    inputs = _inputs(graph, op)
    output = outputs_of(op)[0]
    if inputs is None:
        return None
    sums = isinstance(op, AveragePool2D) and _is_mean_of_all(graph, op)
    rows = graph.tensors[inputs[0].tensor if sums else output].shape[1]
    return RowLayer(index, inputs, output, rows, sums)


def _inputs(graph: Graph, op: Op) -> tuple[RowInput, ...] | None:
    if isinstance(op, Conv2D | DepthwiseConv2D):
        rows = (graph.tensors[op.weights].shape[1] - 1) * op.dilation[0] + 1
        return _window(graph, op, rows)
    if isinstance(op, AveragePool2D) and _is_mean_of_all(graph, op):
        return (RowInput(op.input),)
    if isinstance(op, AveragePool2D | MaxPool2D):
        # A window leaves out what is beyond the edge: padding is not the zero point.
        inputs = _window(graph, op, op.filter[0])
        return None if any(one.top or one.bottom for one in inputs) else inputs
    if isinstance(op, Add):
        equal = not op.constant and graph.tensors[op.left].shape == graph.tensors[op.right].shape
        return (RowInput(op.left), RowInput(op.right)) if equal else None
    if isinstance(op, Lookup | Requantize | Table):
        return (RowInput(op.input),)
    return None


def _window(
    graph: Graph, op: Conv2D | DepthwiseConv2D | AveragePool2D | MaxPool2D, rows: int
) -> tuple[RowInput]:
    height, count = graph.tensors[op.input].shape[1], graph.tensors[op.output].shape[1]
    stride, top = op.stride[0], op.padding.top
    below = (count - 1) * stride + rows - top - height
    return (RowInput(op.input, rows, stride, top, max(0, below)),)


def _is_mean_of_all(graph: Graph, op: AveragePool2D) -> bool:
    """True for one window that is the whole map, as `average_pool_rows` takes it."""
    _, height, width, _ = graph.tensors[op.input].shape
    _, *outputs, _ = graph.tensors[op.output].shape
    fits = outputs == [1, 1] and op.filter == (height, width)
    return fits and not graph.uint8 and height * width <= 255


def row_operator(graph: Graph, layer: RowLayer) -> tuple[Graph, Op]:
    """The operator that makes one row, and the graph with the shapes of its windows."""
    op = graph.ops[layer.index]
    tensors = list(graph.tensors)
    for one in layer.inputs:
        _, _, width, channels = graph.tensors[one.tensor].shape
        tensors[one.tensor] = replace(
            graph.tensors[one.tensor], shape=(1, one.filter_rows, width, channels)
        )
    _, _, width, channels = graph.tensors[layer.output].shape
    tensors[layer.output] = replace(graph.tensors[layer.output], shape=(1, 1, width, channels))
    if isinstance(op, Conv2D | DepthwiseConv2D | AveragePool2D | MaxPool2D):
        op = replace(op, padding=replace(op.padding, top=0, bottom=0))
    return replace(graph, tensors=tuple(tensors)), op


def rows_graph(graph: Graph, layers: Sequence[RowLayer]) -> Graph:
    """A network of one row of each layer, apart from each other: its windows are inputs."""
    tensors: list[Tensor] = []
    ops: list[Op] = []
    inputs: list[int] = []
    outputs: list[int] = []
    for layer in layers:
        smaller, op = row_operator(graph, layer)
        number: dict[int, int] = {}
        for index in (*inputs_of(op), *constants_of(op), *outputs_of(op)):
            if index not in number:
                number[index] = len(tensors)
                tensors.append(smaller.tensors[index])
        inputs += [number[index] for index in dict.fromkeys(inputs_of(op))]
        outputs += [number[index] for index in outputs_of(op)]
        ops.append(renumbered(op, number))
    return replace(
        graph,
        tensors=tuple(tensors),
        ops=tuple(ops),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        variables=(),
    )
