"""Pooling, bit for bit as TFLite's reference kernels do it, on int8 and int16.

Source: tensorflow/lite/kernels/internal/reference/integer_ops/pooling.h of release 2.14.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from compress.integer.fixedpoint import clamp_range, value_range
from compress.integer.windows import pad, taps
from compress.ops import AveragePool2D, MaxPool2D
from compress.types import Graph, IntArray

Int32Array = npt.NDArray[np.int32]


def average_pool(graph: Graph, op: AveragePool2D) -> Callable[[IntArray], IntArray]:
    """(sum +- count / 2) / count, truncated: to nearest, ties away from zero; in-bounds only."""
    out = graph.tensors[op.output]
    shape, lo_hi = out.shape, clamp_range(out, op.activation)

    def window_sums(x: IntArray) -> Int32Array:
        padded = pad(x, op.padding, 0).astype(np.int32)
        sums = np.zeros((len(x), *shape[1:3], x.shape[3]), np.int32)
        for tap in taps(padded, op.filter, op.stride, (1, 1), shape):
            sums += tap
        return sums

    counts = window_sums(np.ones((1, *graph.tensors[op.input].shape[1:3], 1), np.int8))

    def run_op(x: IntArray) -> IntArray:
        sums = window_sums(x)
        means: Int32Array = (np.abs(sums) + counts // 2) // counts
        return np.clip(np.where(sums < 0, -means, means), *lo_hi).astype(out.item)

    return run_op


def max_pool(graph: Graph, op: MaxPool2D) -> Callable[[IntArray], IntArray]:
    """Maximum over the in-bounds elements."""
    out = graph.tensors[op.output]
    shape, lo_hi = out.shape, clamp_range(out, op.activation)
    lowest = value_range(out.dtype)[0]

    def run_op(x: IntArray) -> IntArray:
        highest = np.full((len(x), *shape[1:]), lowest, x.dtype)
        padded = pad(x, op.padding, lowest)
        for tap in taps(padded, op.filter, op.stride, (1, 1), shape):
            np.maximum(highest, tap, out=highest)
        return np.clip(highest, *lo_hi, out=highest)

    return run_op
