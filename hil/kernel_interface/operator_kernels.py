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

# A kernel whose output may lie over the input from the same byte on, but nowhere else.
SAME_BYTE = -1

# The kernel of an operator for which no C function runs (Reshape).
NO_KERNEL = "none"


@dataclass(frozen=True, slots=True)
class Kernel:
    """A C function that can run an operator, and the arena bytes it needs while it runs.

    `scratch_bytes` is the function's own working memory; `expanded_bytes` holds weights that are
    stored smaller than int8 and expanded for it. The output may lie over the input, if it starts
    at least `lead_bytes` before the input's first byte (0: at the same byte or before; SAME_BYTE:
    at the same byte only); None: the two must not share bytes.
    """

    name: str
    scratch_bytes: int = 0
    expanded_bytes: int = 0
    lead_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedKernel(Generic[T]):
    """A kernel of `hil/tuned` for operators of one type.

    `kernels` yields it for an operator on a board: nothing if the board's core lacks its
    instructions or if it is not proved to compute what the reference does, several times, fastest
    first, if it can do with less scratch. `call` returns the values for the templates, which may
    depend on the step's scratch, and `weight_bytes` the bytes of its constants in flash.
    `enlarges_weights` is True if they take a multiple of those of int8, `saves_ram` or
    `saves_flash` if the kernel is worth its cycles where RAM or flash counts only, `is_sparse` if
    it reads weights without those that are 0.
    """

    name: str
    kernels: Callable[[Graph, T, Board], Iterable[Kernel]]
    call: Callable[[Graph, Step, T], Call]
    weight_bytes: Callable[[Graph, T], int]
    enlarges_weights: bool = False
    saves_ram: bool = False
    saves_flash: bool = False
    is_sparse: bool = False


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
