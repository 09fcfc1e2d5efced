"""What every element of every activation may be, whatever the input: interval arithmetic.

Bounds come out of the reference's own kernels, so they hold bit for bit: a kernel that never falls
when an operand rises turns bounds into bounds; of a sum of products, positive weights take the one
bound and negative weights the other.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np
import numpy.typing as npt

from compress.integer.accumulate import Weighted, accumulator, accumulator_offset
from compress.integer.fixedpoint import Int64Array, clamp_range, conv_multipliers, value_range
from compress.integer.reference import Kernel, kernel_of, rescaling_of
from compress.ops import (
    Add,
    AveragePool2D,
    Concatenate,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Lookup,
    MaxPool2D,
    Mean,
    Mul,
    Op,
    Pad,
    Requantize,
    Reshape,
    Softmax,
    inputs_of,
)
from compress.types import Graph, IntArray, Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """Lowest and highest value of each element of an activation, both in its shape and type."""

    lowest: IntArray
    highest: IntArray

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Where the value is the same for every input."""
        equal: npt.NDArray[np.bool_] = self.lowest == self.highest
        return equal


def bounds(graph: Graph) -> dict[int, Bounds]:
    """Of every activation, by tensor index; the input may be anything.

    They hold, but need not be attained: operands are taken to be independent. Raises
    UnsupportedLayer for an operator whose parameters have no fixed-point form.
    """
    found = {graph.input: _anything(graph.input_tensor)}
    for op in graph.ops:
        found[op.output] = _after(graph, op, [found[index] for index in inputs_of(op)])
    return found


def _after(graph: Graph, op: Op, operands: list[Bounds]) -> Bounds:
    match op:
        case Conv2D() | DepthwiseConv2D() | FullyConnected():
            return _weighted(graph, op, operands[0])
        case Add():
            return _sum(kernel_of(graph, op), op, operands)
        case Mul():
            return _product(kernel_of(graph, op), operands)
        case Requantize() | Lookup():
            return _looked_up(kernel_of(graph, op), graph.tensors[op.input], operands[0])
        case AveragePool2D() | MaxPool2D() | Reshape() | Mean() | Pad() | Concatenate():
            kernel = kernel_of(graph, op)
            lowest, highest = (x.lowest for x in operands), (x.highest for x in operands)
            return Bounds(kernel(*lowest), kernel(*highest))
        case Softmax():
            return _anything(graph.tensors[op.output])
        case _:
            assert_never(op)


def _anything(tensor: Tensor) -> Bounds:
    lowest, highest = value_range(tensor.dtype)
    return Bounds(
        np.full(tensor.shape, lowest, tensor.item), np.full(tensor.shape, highest, tensor.item)
    )


def _weighted(graph: Graph, op: Weighted, x: Bounds) -> Bounds:
    offset = accumulator_offset(graph, op)
    rising, falling = (
        accumulator(_clipped(graph, op, clip), op) for clip in (np.maximum, np.minimum)
    )
    sums = [
        rising(up).astype(np.int64) + falling(down).astype(np.int64) + offset
        for up, down in ((x.lowest, x.highest), (x.highest, x.lowest))
    ]
    rescale, out = rescaling_of(graph, op), graph.tensors[op.output]
    lowest, highest = (rescale(values) for values in sums)
    wraps = _wraps(graph, op, sums) if out.dtype == "int8" else np.zeros(out.shape, np.bool_)
    lo, hi = clamp_range(out, op.activation)
    return Bounds(
        np.where(wraps, lo, lowest).astype(out.item), np.where(wraps, hi, highest).astype(out.item)
    )


def _clipped(graph: Graph, op: Weighted, clip: np.ufunc) -> Graph:
    """`graph`, in which the weights of `op` are clipped at zero."""
    tensors = list(graph.tensors)
    weights = tensors[op.weights]
    if weights.data is not None:
        tensors[op.weights] = replace(weights, data=clip(weights.data, np.int8(0)))
    return replace(graph, tensors=tuple(tensors))


def _wraps(graph: Graph, op: Weighted, sums: list[Int64Array]) -> npt.NDArray[np.bool_]:
    """Where a multiplication by more than 1 may leave int32, which the kernels wrap around."""
    left = np.array([max(shift, 0) for _, shift in conv_multipliers(graph, op)], np.int64)
    largest = np.maximum(*(np.abs(values) for values in sums))
    wraps: npt.NDArray[np.bool_] = largest >= 2**31 >> left
    return wraps


def _sum(kernel: Kernel, op: Add, operands: list[Bounds]) -> Bounds:
    left, *others = operands
    if not others:
        return Bounds(kernel(left.lowest), kernel(left.highest))
    right = Bounds(others[0].highest, others[0].lowest) if op.subtract else others[0]
    return Bounds(kernel(left.lowest, right.lowest), kernel(left.highest, right.highest))


def _product(kernel: Kernel, operands: list[Bounds]) -> Bounds:
    """A product of intervals has its extremes where both operands have theirs."""
    ends = [(x.lowest, x.highest) for x in operands]
    corners = np.stack([kernel(*values) for values in itertools.product(*ends)])
    return Bounds(corners.min(axis=0), corners.max(axis=0))


def _looked_up(kernel: Kernel, source: Tensor, x: Bounds) -> Bounds:
    """Extremes of a table between two of its entries: functions may fall and rise."""
    start, end = value_range(source.dtype)
    table = kernel(np.arange(start, end + 1, dtype=source.item))
    ends = np.stack([x.lowest.ravel(), x.highest.ravel()]).astype(np.int64) - start
    pairs, where = np.unique(ends, axis=1, return_inverse=True)
    entries = [table[lo : hi + 1] for lo, hi in pairs.T]
    lowest = np.array([part.min() for part in entries], table.dtype)
    highest = np.array([part.max() for part in entries], table.dtype)
    where = where.reshape(x.lowest.shape)
    return Bounds(lowest[where], highest[where])
