"""Exact accumulators of convolutions and fully connected layers, and their rescaling.

Sums run in float32 or float64 through BLAS, but only where every partial sum is an exactly
representable integer: the result depends neither on the order of summation nor on the library.
The input's zero point is moved into the constant term,
sum((x - z) * w) + bias = sum(x * w) + (bias - z * sum(w)), as CMSIS-NN does too. The zero point of
weights, which only those of `Graph.uint8` have, is subtracted from them first.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from compress.arithmetic.fixedpoint import (
    Int64Array,
    clamp_range,
    conv_multipliers,
    multiply_by_quantized_multiplier,
    multiply_by_reduced_multiplier,
    reduced_multipliers,
    value_range,
)
from compress.arithmetic.windows import pad, spread, taps
from compress.errors import UnsupportedLayer, UserError
from compress.ops import DepthwiseConv2D, FullyConnected, TransposeConv2D, Weighted
from compress.types import Array, Graph, IntArray


def accumulators(graph: Graph, op: Weighted, x: IntArray) -> Int64Array:
    """Accumulators of `op`, bias included: int64 (N, *output shape[1:]) for x (N, ...)."""
    sums: Int64Array = accumulator(graph, op)(x).astype(np.int64)
    return sums + accumulator_offset(graph, op)


def accumulator_offset(graph: Graph, op: Weighted) -> Int64Array:
    """bias - input zero point * sum of weights, int64 per channel: lets sums run over raw inputs.

    Raises UnsupportedLayer where an accumulator could leave int32, which is undefined in C. On
    int16, where accumulators have 64 bits, it raises where one could leave 48 bits or where a
    scaled accumulator could leave int32 before it is clamped.
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
    """Largest magnitude of any partial sum of `op`, per channel, in any order of summation.

    The sum is over products of raw inputs, with `accumulator_offset` added at any point of it.
    Where weights have a zero point, kernels sum products with the input less its zero point: the
    reach covers these sums, too.
    """
    reach = _product_reach(graph, op) + np.abs(_offset(graph, op))
    if graph.tensors[op.weights].zero_point != 0:
        lowest, highest = value_range(graph.tensors[op.input].dtype)
        zero_point = graph.tensors[op.input].zero_point
        largest = max(zero_point - lowest, highest - zero_point)
        weights = np.abs(_by_channel(graph, op).astype(np.int64)).sum(axis=1)
        reach = np.maximum(reach, largest * weights + np.abs(_constant(graph, op.bias)))
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
    """The function from x (N, ...) to sums of raw input * weight, without `accumulator_offset`.

    The sums are integers (N, *output shape[1:]) held exactly in an integer or float type.
    """
    weights, out = centered_weights(graph, op), graph.tensors[op.output]
    if isinstance(op, DepthwiseConv2D):
        return _depthwise_accumulator(graph, op)
    by_channel = _by_channel(graph, op)
    if isinstance(op, TransposeConv2D):
        # Over pixels that are spread, it is a convolution with the kernel turned around.
        by_channel = weights[:, ::-1, ::-1].reshape(len(weights), -1)
    # No partial sum exceeds the reach, so each is an integer that this type holds exactly.
    exact: npt.DTypeLike = np.float32 if _product_reach(graph, op).max() < 2**24 else np.float64
    matrix: npt.NDArray[np.floating[Any]] = np.ascontiguousarray(by_channel.T.astype(exact))
    groups = graph.tensors[op.input].shape[-1] // weights.shape[-1]
    if isinstance(op, FullyConnected):
        depth = matrix.shape[0]

        def run_rows(x: IntArray) -> Array:
            sums: Array = np.matmul(x.reshape(-1, depth).astype(exact), matrix)
            return sums.reshape(len(x), *out.shape[1:])

        return run_rows
    zero_point = graph.tensors[op.input].zero_point
    kernel = weights.shape[1:3]
    stride = dilation = (1, 1)
    if not isinstance(op, TransposeConv2D):
        stride, dilation = op.stride, op.dilation
    extent = ((kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1)

    def padded(x: IntArray) -> IntArray:
        if isinstance(op, TransposeConv2D):
            return spread(x, kernel, op.stride, op.crop, out.shape, zero_point)
        return pad(x, op.padding, zero_point)

    def run_op(x: IntArray) -> Array:
        rows = sliding_window_view(padded(x), extent[0], axis=1)
        windows = sliding_window_view(rows, extent[1], axis=2)
        windows = windows[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
        patches = windows.transpose(0, 1, 2, 4, 5, 3)
        parts = [
            part.astype(exact, order="C").reshape(-1, matrix.shape[0]) @ filters
            for part, filters in zip(
                np.split(patches, groups, axis=-1), np.split(matrix, groups, axis=1), strict=True
            )
        ]
        sums: Array = np.concatenate(parts, axis=1) if groups > 1 else parts[0]
        return sums.reshape(len(x), *out.shape[1:])

    return run_op


def _depthwise_accumulator(graph: Graph, op: DepthwiseConv2D) -> Callable[[IntArray], Array]:
    exact: npt.DTypeLike = np.int32 if _product_reach(graph, op).max() < 2**31 else np.int64
    weights, out = centered_weights(graph, op)[0].astype(exact), graph.tensors[op.output]
    source = graph.tensors[op.input]
    multiplier = out.shape[3] // source.shape[3]

    def run_op(x: IntArray) -> Array:
        padded = pad(x, op.padding, source.zero_point).astype(exact)
        padded = np.repeat(padded, multiplier, axis=3) if multiplier > 1 else padded
        sums = np.zeros((len(x), *out.shape[1:]), exact)
        product = np.empty_like(sums)
        views = taps(padded, weights.shape[:2], op.stride, op.dilation, out.shape)
        for tap, weight in zip(views, weights.reshape(-1, out.shape[3]), strict=True):
            # Repeated over a row's positions: NumPy is fast at long inner loops.
            np.multiply(tap, np.broadcast_to(weight, tap.shape[2:]).copy(), out=product)
            sums += product
        return sums

    return run_op


def weighted_kernel(graph: Graph, op: Weighted) -> Callable[[IntArray], IntArray]:
    """The function from x (N, *input shape[1:]) to the output of `op`, int8 or int16."""
    accumulate, rescale = accumulator(graph, op), rescaling(graph, op)
    offset = _over_positions(graph, op, accumulator_offset(graph, op))

    def run_op(x: IntArray) -> IntArray:
        sums = accumulate(x).reshape(len(x), -1).astype(np.int64)
        sums += offset
        return rescale(sums)

    return run_op


def rescaling(graph: Graph, op: Weighted) -> Callable[[Int64Array], IntArray]:
    """The function from accumulators int64 (N, ...) to outputs: clamp(zero point + M_c(sum)).

    M_c is the multiplication by channel c's multiplier; on int16 it is that of
    `reduced_multipliers`, and the zero point is 0.
    """
    out = graph.tensors[op.output]
    wide = out.dtype == "int16"
    multiply = multiply_by_reduced_multiplier if wide else multiply_by_quantized_multiplier
    pairs = np.array((reduced_multipliers if wide else conv_multipliers)(graph, op), np.int64)
    multiplier, shift = (_over_positions(graph, op, values) for values in pairs.T)
    lo_hi = clamp_range(out, op.activation)

    def rescale(sums: Int64Array) -> IntArray:
        sums = multiply(sums.reshape(len(sums), -1), multiplier, shift)
        sums += out.zero_point
        return np.clip(sums, *lo_hi, out=sums).astype(out.item).reshape(len(sums), *out.shape[1:])

    return rescale


def _over_positions(graph: Graph, op: Weighted, values: Int64Array) -> Int64Array:
    """One value per channel, or one for all, repeated over all positions of a sample.

    NumPy is fast at long inner loops.
    """
    out = graph.tensors[op.output]
    channels = out.shape[-1]
    return np.tile(np.broadcast_to(values, channels), out.elements // channels)


def _constant(graph: Graph, index: int) -> Array:
    data = graph.tensors[index].data
    if data is None:
        raise UserError(f"{graph.name}: tensor {graph.tensors[index].name} has no data")
    return data


def centered_weights(graph: Graph, op: Weighted) -> Array:
    """Weights less their zero point: int8, or int16 if they have one."""
    weights, zero_point = _constant(graph, op.weights), graph.tensors[op.weights].zero_point
    if zero_point == 0:
        return weights
    centered: Array = weights.astype(np.int16) - np.int16(zero_point)
    return centered


def _by_channel(graph: Graph, op: Weighted) -> Array:
    """Centered weights as one row per output channel."""
    weights = centered_weights(graph, op)
    if isinstance(op, DepthwiseConv2D):
        return weights.reshape(-1, weights.shape[-1]).T
    return weights.reshape(len(weights), -1)
