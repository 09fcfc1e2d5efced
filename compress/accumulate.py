"""Exact sums of products: what a weighted operator accumulates before it is scaled down.

Sums run in float32 or float64 through BLAS, but only where every partial sum is an exactly
representable integer: the result depends neither on the order of summation nor on the library.
The input's zero point is moved into the constant term,
sum((x - z) * w) + bias = sum(x * w) + (bias - z * sum(w)), as CMSIS-NN does too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from compress.errors import UnsupportedLayer, UserError
from compress.fixedpoint import Int64Array
from compress.ops import Conv2D, DepthwiseConv2D, FullyConnected
from compress.types import Array, Graph, Int8Array
from compress.windows import pad, taps

Weighted = Conv2D | DepthwiseConv2D | FullyConnected


def accumulators(graph: Graph, op: Weighted, x: Int8Array) -> Int64Array:
    """What `op` sums up, bias included: int64 (N, *output shape[1:]) for x int8 (N, ...)."""
    sums: Int64Array = accumulator(graph, op)(x).astype(np.int64)
    return sums + accumulator_offset(graph, op)


def accumulator_offset(graph: Graph, op: Weighted) -> Int64Array:
    """bias - input zero point * sum of weights, per channel: lets sums run over raw inputs.

    Raises UnsupportedLayer where an accumulator could leave int32: that is undefined in C.
    """
    weights = _by_channel(graph, op).astype(np.int64)
    zero_point = graph.tensors[op.input].zero_point
    offset: Int64Array = _constant(graph, op.bias) - zero_point * weights.sum(axis=1)
    reach = int((128 * np.abs(weights).sum(axis=1) + np.abs(offset)).max())
    if reach >= 2**31:
        raise UnsupportedLayer(f"{op.name}: accumulators may reach {reach}, beyond int32")
    return offset


def accumulator(graph: Graph, op: Weighted) -> Callable[[Int8Array], Array]:
    """Sum of raw input * weight, without offset, as an exact number of any type."""
    weights, out = _constant(graph, op.weights), graph.tensors[op.output]
    if isinstance(op, DepthwiseConv2D):
        return _depthwise_accumulator(graph, op)
    by_channel = _by_channel(graph, op)
    reach = 128 * int(np.abs(by_channel.astype(np.int64)).sum(axis=1).max())
    # No partial sum exceeds `reach`, so every one is an exact integer of this type.
    exact: npt.DTypeLike = np.float32 if reach < 2**24 else np.float64
    matrix: npt.NDArray[np.floating[Any]] = np.ascontiguousarray(by_channel.T.astype(exact))
    if isinstance(op, FullyConnected):
        return lambda x: np.matmul(x.reshape(len(x), -1).astype(exact), matrix)
    zero_point = graph.tensors[op.input].zero_point
    kernel, stride, dilation, padding = weights.shape[1:3], op.stride, op.dilation, op.padding
    extent = ((kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1)

    def run_op(x: Int8Array) -> Array:
        rows = sliding_window_view(pad(x, padding, zero_point), extent[0], axis=1)
        windows = sliding_window_view(rows, extent[1], axis=2)
        windows = windows[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
        patches = windows.transpose(0, 1, 2, 4, 5, 3).astype(exact, order="C")
        sums: Array = patches.reshape(-1, matrix.shape[0]) @ matrix
        return sums.reshape(len(x), *out.shape[1:])

    return run_op


def _depthwise_accumulator(graph: Graph, op: DepthwiseConv2D) -> Callable[[Int8Array], Array]:
    weights, out = _constant(graph, op.weights)[0].astype(np.int32), graph.tensors[op.output]
    source = graph.tensors[op.input]
    multiplier = out.shape[3] // source.shape[3]

    def run_op(x: Int8Array) -> Array:
        padded = pad(x, op.padding, source.zero_point).astype(np.int32)
        padded = np.repeat(padded, multiplier, axis=3) if multiplier > 1 else padded
        sums = np.zeros((len(x), *out.shape[1:]), np.int32)
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
