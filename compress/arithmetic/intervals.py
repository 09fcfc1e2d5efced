"""Interval arithmetic on activations: bounds of every element that hold for every input.

Bounds are computed by the reference's own kernels, so they hold bit for bit: a kernel that is
monotone in each operand maps bounds to bounds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from compress.arithmetic.fixedpoint import value_range
from compress.arithmetic.tables import Kernel
from compress.ops import Op, outputs_of
from compress.types import Graph, IntArray, Tensor

_OpT = TypeVar("_OpT", bound=Op)


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """Lowest and highest value of each element of an activation, both in its shape and type."""

    lowest: IntArray
    highest: IntArray

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """True for elements that have the same value for every input."""
        equal: npt.NDArray[np.bool_] = self.lowest == self.highest
        return equal


def full_range(tensor: Tensor) -> Bounds:
    """The bounds of the tensor's type."""
    lowest, highest = value_range(tensor.dtype)
    return Bounds(
        np.full(tensor.shape, lowest, tensor.item), np.full(tensor.shape, highest, tensor.item)
    )


def full_range_of_output(graph: Graph, op: Op, operands: Sequence[Bounds]) -> Bounds:
    """`full_range` of the output: valid for any operator with one output."""
    (output,) = outputs_of(op)
    return full_range(graph.tensors[output])


def rising(
    kernel_of: Callable[[Graph, _OpT], Kernel],
) -> Callable[[Graph, _OpT, Sequence[Bounds]], Bounds]:
    """Bounds of an operator whose output never falls when an operand rises."""

    def bounds(graph: Graph, op: _OpT, operands: Sequence[Bounds]) -> Bounds:
        kernel = kernel_of(graph, op)
        lowest, highest = (x.lowest for x in operands), (x.highest for x in operands)
        return Bounds(kernel(*lowest), kernel(*highest))

    return bounds


def corners(kernel: Kernel, operands: Sequence[Bounds]) -> Bounds:
    """Bounds of a kernel with its extremes where each operand has one of its own: a product."""
    ends = [(x.lowest, x.highest) for x in operands]
    values = np.stack([kernel(*corner) for corner in itertools.product(*ends)])
    return Bounds(values.min(axis=0), values.max(axis=0))


def extremes_between(kernel: Kernel, source: Tensor, x: Bounds) -> Bounds:
    """Bounds of an element-wise kernel of one operand that may rise and fall.

    They are the extremes of the kernel's table between the entries of the two bounds.
    """
    start, end = value_range(source.dtype)
    table = kernel(np.arange(start, end + 1, dtype=source.item))
    ends = np.stack([x.lowest.ravel(), x.highest.ravel()]).astype(np.int64) - start
    pairs, where = np.unique(ends, axis=1, return_inverse=True)
    entries = [table[lo : hi + 1] for lo, hi in pairs.T]
    lowest = np.array([part.min() for part in entries], table.dtype)
    highest = np.array([part.max() for part in entries], table.dtype)
    where = where.reshape(x.lowest.shape)
    return Bounds(lowest[where], highest[where])
