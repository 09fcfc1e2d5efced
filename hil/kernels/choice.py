"""Choice of the C kernel that runs an operator on a board."""

from __future__ import annotations

from collections.abc import Iterable

from compress.errors import UnsupportedLayer
from compress.operators.registry import operator_of
from compress.ops import Op
from compress.types import Graph
from hil.kernel_interface.limits import activation_types, check_activations, no_int16_kernel
from hil.kernel_interface.operator_kernels import Kernel
from hil.kernels.registry import kernels_of
from hil.types import Board


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
