"""The operators that can be computed row by row, their kernels, and the segments that they form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from compress.errors import UnsupportedLayer
from compress.ops import AveragePool2D, ElementWise, inputs_of
from compress.types import Graph
from hil.codegen.row_layers import row_layer, row_operator
from hil.codegen.row_schedule import schedule
from hil.kernel_interface.operator_kernels import SAME_BYTE, Kernel
from hil.kernels.choice import all_candidates
from hil.segment import RowLayer, Segment
from hil.tuned.cores import has_dsp
from hil.tuned.pool_rows import pool_rows_kernel
from hil.types import Board, KernelSet, Memory


@dataclass(frozen=True, slots=True, eq=False)
class RowKernels:
    """The operators that can be computed row by row, each with the kernels that make a row."""

    layers: Mapping[int, RowLayer]
    kernels: Mapping[int, tuple[Kernel, ...]]


def row_kernels(graph: Graph, board: Board, saves: Memory, kernel_set: KernelSet) -> RowKernels:
    """What can be computed row by row: on cores with DSP instructions only."""
    layers: dict[int, RowLayer] = {}
    kernels: dict[int, tuple[Kernel, ...]] = {}
    for index, op in enumerate(graph.ops):
        layer = row_layer(graph, index) if has_dsp(board) else None
        if layer is None:
            continue
        if layer.sums:
            assert isinstance(op, AveragePool2D), "no other operator sums rows"
            known: tuple[Kernel, ...] = (pool_rows_kernel(graph, op),)
        else:
            try:
                known = all_candidates(*row_operator(graph, layer), board, saves, kernel_set)
            except UnsupportedLayer:
                continue
        layers[index] = layer
        kernels[index] = tuple(dict.fromkeys(replace(k, expanded_bytes=0) for k in known))
    return RowKernels(layers, kernels)


def segments_of(
    graph: Graph, rows: RowKernels, below_bytes: float, longest: int
) -> Iterator[tuple[Segment, list[tuple[Kernel, ...]]]]:
    """All runs of 2 to `longest` operators of which only the last one's output is needed later."""
    heights = {
        index: tensor.shape[1]
        for index, tensor in enumerate(graph.tensors)
        if len(tensor.shape) == 4
    }
    last_use = {tensor: index for index, op in enumerate(graph.ops) for tensor in inputs_of(op)}
    last_use |= dict.fromkeys(graph.results, len(graph.ops))
    for first in range(len(graph.ops)):
        layers: list[RowLayer] = []
        for index in range(first, min(first + longest, len(graph.ops))):
            if index not in rows.layers or (layers and layers[-1].sums):
                break
            layers.append(rows.layers[index])
            inner = [layer.output for layer in layers[:-1]]
            read = {one.tensor for layer in layers for one in layer.inputs}
            if len(layers) > 1 and all(last_use[t] <= index and t in read for t in inner):
                over = _over(graph, layers, rows)
                if _certain_bytes(graph, layers, over) >= below_bytes:
                    continue
                kernels = [
                    _in_place(rows.kernels[layer.index])
                    if layer.output in over and not isinstance(graph.ops[layer.index], ElementWise)
                    else rows.kernels[layer.index]
                    for layer in layers
                ]
                yield schedule(layers, heights, over), kernels


def _certain_bytes(graph: Graph, layers: Sequence[RowLayer], over: Mapping[int, int]) -> int:
    """What a segment needs at least: its sources or its output, and rings of several rows."""
    made = {layer.output for layer in layers}
    rows: dict[int, int] = {}
    for layer in layers:
        for one in layer.inputs:
            rows[one.tensor] = max(rows.get(one.tensor, 0), one.filter_rows)
    sizes = {tensor: graph.tensors[tensor].size_bytes for tensor in (*rows, layers[-1].output)}
    rings = sum(
        count * sizes[tensor] // graph.tensors[tensor].shape[1]
        for tensor, count in rows.items()
        if tensor in made and count > 1
    )
    sources = sum(sizes[tensor] for tensor in rows if tensor not in made)
    return rings + max(sources, sizes[layers[-1].output])


def _in_place(kernels: Sequence[Kernel]) -> tuple[Kernel, ...]:
    """Those whose row may lie over the input's."""
    return tuple(kernel for kernel in kernels if kernel.lead_bytes in (0, SAME_BYTE))


def _over(graph: Graph, layers: Sequence[RowLayer], rows: RowKernels) -> dict[int, int]:
    """The tensors whose rows may lie over the rows of another one, which only their layer reads."""
    readers: dict[int, int] = {}
    for layer in layers:
        for one in layer.inputs:
            readers[one.tensor] = readers.get(one.tensor, 0) + 1
    made = {layer.output for layer in layers}
    found = {}
    for layer in layers[:-1]:
        op = graph.ops[layer.index]
        if not isinstance(op, ElementWise) and not _in_place(rows.kernels[layer.index]):
            continue
        for one in layer.inputs:
            same_rows = graph.tensors[one.tensor].shape == graph.tensors[layer.output].shape
            plain = (one.filter_rows, one.stride, one.top, one.bottom) == (1, 1, 0, 0)
            if same_rows and plain and one.tensor in made and readers[one.tensor] == 1:
                found[layer.output] = one.tensor
                break
            if layer.sums:
                break
    return found
