"""Kernels of int8 weights for layers with few weights of 4 bits, which are then stored as bytes.

Weights of 4 bits need the sum of each window's inputs, whatever the number of outputs: with few
outputs that costs more than 5 % of a layer's cycles. As bytes such weights take twice the flash,
at most `_MOST_MORE_BYTES` more, which is worth it where cycles alone count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

from compress.ops import Conv2D, FullyConnected
from compress.types import Graph
from hil.kernel_interface.call import Call
from hil.kernel_interface.operator_kernels import Kernel, TunedKernel
from hil.types import Board, Step

_L = TypeVar("_L", Conv2D, FullyConnected)

# Measured on M4 and M33 (modelled cycles): layers within it take over 5 % more cycles with 4 bits
# than with 8 (3x3 of 96 inputs to 4 outputs, dense 512 to 6); no larger one that was tried does.
_MOST_MORE_BYTES = 2048


def unpacked(of_bytes: TunedKernel[_L]) -> TunedKernel[_L]:
    """The kernel `of_bytes`, which reads int8 weights, for weights of 4 bits: `<name>_unpacked`."""

    def kernels(graph: Graph, op: _L, board: Board) -> Iterator[Kernel]:
        weights = graph.tensors[op.weights]
        if weights.dtype == "int4" and weights.elements // 2 <= _MOST_MORE_BYTES:
            for kernel in of_bytes.kernels(_as_bytes(graph, op), op, board):
                yield replace(kernel, name=f"{kernel.name}_unpacked")

    def call(graph: Graph, step: Step, op: _L) -> Call:
        return of_bytes.call(_as_bytes(graph, op), step, op)

    def weight_bytes(graph: Graph, op: _L) -> int:
        return of_bytes.weight_bytes(_as_bytes(graph, op), op)

    return TunedKernel(
        name=f"{of_bytes.name}_unpacked",
        kernels=kernels,
        call=call,
        weight_bytes=weight_bytes,
        enlarges_weights=True,
    )


def _as_bytes(graph: Graph, op: _L) -> Graph:
    """The graph with the layer's weights as int8, of the same values."""
    tensors = list(graph.tensors)
    tensors[op.weights] = replace(tensors[op.weights], dtype="int8")
    return replace(graph, tensors=tuple(tensors))
