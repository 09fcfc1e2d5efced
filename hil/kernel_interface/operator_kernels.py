"""The record by which code generation knows an operator type: limits, kernels, call in C."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from compress.ops import Op
from compress.types import Graph
from hil.kernel_interface.call import Call
from hil.types import Board, Step

T = TypeVar("T", bound=Op)

# The kernel of an operator for which no C function runs (Reshape).
NO_KERNEL = "none"


@dataclass(frozen=True, slots=True)
class Kernel:
    """A C function that can run an operator, and the arena bytes it needs while it runs.

    `scratch_bytes` is the function's own working memory; `expanded_bytes` holds weights that are
    stored smaller than int8 and expanded for it.
    """

    name: str
    scratch_bytes: int = 0
    expanded_bytes: int = 0


def _unlimited(graph: Graph, op: Op) -> None:
    """Accept every operator that passes the common checks."""


def _no_weights(graph: Graph, step: Step, op: Op) -> int:
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorKernels(Generic[T]):
    """The kernels of one operator type and how they are called.

    `kernels` yields the candidates on int8 for a board, best first, each bit-equal to the
    reference. `int16_kernels` does so where an activation is int16; None if there are none.
    `check` raises UnsupportedLayer, naming the layer, for what no candidate computes as the
    reference does; types and extents of activations are checked before (`limits.py`), where
    `any_extent` allows tensors of any length.
    `call` returns the values for the templates; it raises UnsupportedLayer if the operator has no
    fixed-point form. `weight_bytes` counts weights, biases and scales as stored in flash.
    """

    op: type[T]
    kernels: Callable[[Graph, T, Board], Iterable[Kernel]]
    call: Callable[[Graph, Step, T], Call]
    int16_kernels: Callable[[Graph, T, Board], Iterable[Kernel]] | None = None
    check: Callable[[Graph, T], None] = _unlimited
    weight_bytes: Callable[[Graph, Step, T], int] = _no_weights
    any_extent: bool = False


def always(name: str) -> Callable[[Graph, Op, Board], Iterable[Kernel]]:
    """The one candidate `name`, without scratch, on every board."""
    return lambda graph, op, board: (Kernel(name),)
