"""Exact sums of products: what a weighted operator accumulates before it is scaled down.

Sums run in float32 or float64 through BLAS, but only where every partial sum is an exactly
representable integer: the result depends neither on the order of summation nor on the library.
The input's zero point is moved into the constant term,
sum((x - z) * w) + bias = sum(x * w) + (bias - z * sum(w)), as CMSIS-NN does too.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from compress.errors import UnsupportedLayer, UserError
from compress.integer.fixedpoint import Int64Array, reduced_multipliers, value_range
from compress.integer.windows import pad, taps
from compress.ops import Conv2D, DepthwiseConv2D, FullyConnected
from compress.types import Array, Graph, IntArray

Weighted = Conv2D | DepthwiseConv2D | FullyConnected


def accumulators(graph: Graph, op: Weighted, x: IntArray) -> Int64Array:
    """What `op` sums up, bias included: int64 (N, *output shape[1:]) for x (N, ...)."""
    sums: Int64Array = accumulator(graph, op)(x).astype(np.int64)
    return sums + accumulator_offset(graph, op)


def accumulator_offset(graph: Graph, op: Weighted) -> Int64Array:
    """bias - input zero point * sum of weights, per channel: lets sums run over raw inputs.

    Raises UnsupportedLayer where an accumulator could leave int32, which is undefined in C: of an
    operator on int16, whose accumulators have 64 bits, where one could leave 48 bits or, once it
    is scaled but not yet clamped, int32.
    """
    reach = accumulator_reach(graph, op)
    wide = graph.tensors[op.input].dtype == "int16"
    bits = 48 if wide else 32
    if max(reach) >= 2 ** (bits - 1):
        raise UnsupportedLayer(f"{op.name}: accumulators may reach {max(reach)}, beyond int{bits}")
    if wide:
        scaled = max(
            (largest * reduced >> right) + 1
            for largest, (reduced, right) in zip(
                reach, cycle(reduced_multipliers(graph, op)), strict=False
            )
        )
        if scaled >= 2**31:
            raise UnsupportedLayer(f"{op.name}: scaled accumulators may reach {scaled}")
    return _offset(graph, op)


def accumulator_reach(graph: Graph, op: Weighted) -> tuple[int, ...]:
    """Per channel, what no partial sum of `op` exceeds in magnitude, in whatever order.

    Of products of raw inputs, with `accumulator_offset` (of int16 the bias) anywhere in the sum.
    """
    reach = _product_reach(graph, op) + np.abs(_offset(graph, op))
    return tuple(int(n) for n in reach)


def _offset(graph: Graph, op: Weighted) -> Int64Array:
    zero_point = graph.tensors[op.input].zero_point
    sums = _by_channel(graph, op).sum(axis=1, dtype=np.int64)
    offset: Int64Array = _constant(graph, op.bias) - zero_point * sums
    return offset


def _product_reach(graph: Graph, op: Weighted) -> Int64Array:
    largest = -value_range(graph.tensors[op.input].dtype)[0]
    weights = np.abs(_by_channel(graph, op).astype(np.int64))
    reach: Int64Array = largest * weights.sum(axis=1)
    return reach


def accumulator(graph: Graph, op: Weighted) -> Callable[[IntArray], Array]:
    """Sum of raw input * weight, without offset, as an exact number of any type."""
    weights, out = _constant(graph, op.weights), graph.tensors[op.output]
    if isinstance(op, DepthwiseConv2D):
        return _depthwise_accumulator(graph, op)
    by_channel = _by_channel(graph, op)
    # No partial sum exceeds the reach, so every one is an exact integer of this type.
    exact: npt.DTypeLike = np.float32 if _product_reach(graph, op).max() < 2**24 else np.float64
    matrix: npt.NDArray[np.floating[Any]] = np.ascontiguousarray(by_channel.T.astype(exact))
    if isinstance(op, FullyConnected):
        return lambda x: np.matmul(x.reshape(len(x), -1).astype(exact), matrix)
    zero_point = graph.tensors[op.input].zero_point
    kernel, stride, dilation, padding = weights.shape[1:3], op.stride, op.dilation, op.padding
    extent = ((kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1)

    def run_op(x: IntArray) -> Array:
        rows = sliding_window_view(pad(x, padding, zero_point), extent[0], axis=1)
        windows = sliding_window_view(rows, extent[1], axis=2)
        windows = windows[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
        patches = windows.transpose(0, 1, 2, 4, 5, 3).astype(exact, order="C")
        sums: Array = patches.reshape(-1, matrix.shape[0]) @ matrix
        return sums.reshape(len(x), *out.shape[1:])

    return run_op


def _depthwise_accumulator(graph: Graph, op: DepthwiseConv2D) -> Callable[[IntArray], Array]:
    exact: npt.DTypeLike = np.int32 if _product_reach(graph, op).max() < 2**31 else np.int64
    weights, out = _constant(graph, op.weights)[0].astype(exact), graph.tensors[op.output]
    source = graph.tensors[op.input]
    multiplier = out.shape[3] // source.shape[3]

    def run_op(x: IntArray) -> Array:
        padded = pad(x, op.padding, source.zero_point).astype(exact)
        padded = np.repeat(padded, multiplier, axis=3) if multiplier > 1 else padded
        sums = np.zeros((len(x), *out.shape[1:]), exact)
        product = np.empty_like(sums)
        views = taps(padded, weights.shape[:2], op.stride, op.dilation, out.shape)
        for tap, weight in zip(views, weights.reshape(-1, out.shape[3]), strict=True):
            # One factor per position, too: long inner loops are what NumPy is fast at.
            np.multiply(tap, np.broadcast_to(weight, tap.shape[2:]).copy(), out=product)
            sums += product
        return sums

    return run_op


def _constant(graph: Graph, index: int) -> Array:
    data = graph.tensors[index].data
    if data is None:
        raise UserError(f"{graph.name}: tensor {graph.tensors[index].name} has no data")
    return data


def _by_channel(graph: Graph, op: Weighted) -> Array:
    """Weights as one row per output channel."""
    weights = _constant(graph, op.weights)
    if isinstance(op, DepthwiseConv2D):
        return weights.reshape(-1, weights.shape[-1]).T
    return weights.reshape(len(weights), -1)
