"""The operator families, and the kernels that run an operator on a board.

Families have the same names as those in `compress.operators`, which defines what they compute.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from compress.errors import UnsupportedLayer
from compress.operators.registry import operator_of
from compress.ops import Op
from compress.types import Graph
from hil.kernels import (
    convolution,
    dense,
    elementwise,
    lookup,
    padding,
    pooling,
    reduction,
    requantize,
    shape,
    softmax,
)
from hil.kernels.limits import activation_types, check_activations, no_int16_kernel
from hil.kernels.operator_kernels import Kernel, OperatorKernels
from hil.types import Board

FAMILIES: tuple[tuple[OperatorKernels[Any], ...], ...] = (
    convolution.OPERATORS,
    dense.OPERATORS,
    elementwise.OPERATORS,
    pooling.OPERATORS,
    reduction.OPERATORS,
    shape.OPERATORS,
    padding.OPERATORS,
    softmax.OPERATORS,
    requantize.OPERATORS,
    lookup.OPERATORS,
)
_BY_TYPE = {operator.op: operator for family in FAMILIES for operator in family}


def kernels_of(op: Op) -> OperatorKernels[Any]:
    """The record of the operator's type."""
    return _BY_TYPE[type(op)]


def candidates(graph: Graph, op: Op, board: Board) -> Iterable[Kernel]:
    """The kernels that compute `op` on `board` bit-equal to the reference, best first.

    Raises UnsupportedLayer, naming the layer, for what none of them takes.
    """
    known = kernels_of(op)
    check_activations(graph, op, converts=operator_of(op).converts, any_extent=known.any_extent)
    known.check(graph, op)
    if "int16" not in activation_types(graph, op):
        return known.kernels(graph, op, board)
    if known.int16_kernels is None:
        raise no_int16_kernel(op)
    return known.int16_kernels(graph, op, board)


def choose(graph: Graph, op: Op, board: Board) -> Kernel:
    """The first of the candidates for `op`. Raises UnsupportedLayer if there are none."""
    for kernel in candidates(graph, op, board):
        return kernel
    raise UnsupportedLayer(f"{op.name}: no kernel for {type(op).__name__} on {board.core}")
