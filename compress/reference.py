"""Executes an integer `Graph` in NumPy, bit for bit as TFLite's reference kernels do.

The semantics are those of tensorflow/lite/kernels/internal/reference/integer_ops (conv.h,
depthwise_conv.h, fully_connected.h, add.h, mul.h, pooling.h), reference/reduce.h and
reference/requantize.h of release 2.14 with double rounding, which is also what CMSIS-NN computes
by default. Sums of products run in `compress.accumulate`, exactly, so results do not depend on
the BLAS or the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import assert_never

import numpy as np
import numpy.typing as npt

from compress.accumulate import accumulator, accumulator_offset
from compress.errors import UserError
from compress.fixedpoint import (
    INT8_MAX,
    INT8_MIN,
    Int64Array,
    clamp_range,
    conv_multipliers,
    multiply_by_quantized_multiplier,
)
from compress.lookup import every_int8, lookup_table
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
from compress.parameters import (
    add_parameters,
    mean_parameters,
    mul_parameters,
    requantize_parameters,
    softmax_parameters,
)
from compress.softmax import softmax_rows
from compress.types import Graph, Int8Array
from compress.windows import pad, taps

Kernel = Callable[..., Int8Array]
Int32Array = npt.NDArray[np.int32]

# Samples are run in blocks whose largest tensor has about this many elements: the wide
# intermediates (8 bytes each) then stay in the cache and memory stays bounded.
_BLOCK_ELEMENTS = 1 << 17


def run(graph: Graph, inputs: Int8Array) -> Int8Array:
    """Outputs int8 (N, *output shape[1:]) for inputs int8 (N, *input shape[1:]).

    Raises UserError for inputs of another shape or type and UnsupportedLayer for an operator
    whose parameters have no fixed-point form.
    """
    return np.concatenate([values[graph.output] for values in _blocks(graph, inputs)])


def trace(graph: Graph, inputs: Int8Array) -> dict[int, Int8Array]:
    """Every activation by tensor index, each int8 (N, *shape[1:]). Raises as `run` does."""
    blocks = list(_blocks(graph, inputs))
    return {index: np.concatenate([b[index] for b in blocks]) for index in blocks[0]}


def _blocks(graph: Graph, inputs: Int8Array) -> Iterator[dict[int, Int8Array]]:
    shape = graph.input_tensor.shape[1:]
    if inputs.dtype != np.int8 or inputs.shape[1:] != shape or len(inputs) == 0:
        raise UserError(
            f"{graph.name}: inputs are {inputs.dtype} {inputs.shape}, must be int8 (N >= 1, "
            f"{', '.join(map(str, shape))})"
        )
    kernels = [(op, _kernel(graph, op)) for op in graph.ops]
    largest = max(t.elements for t in graph.tensors if t.data is None)
    block = max(1, _BLOCK_ELEMENTS // largest)
    for start in range(0, len(inputs), block):
        values = {graph.input: inputs[start : start + block]}
        for op, kernel in kernels:
            values[op.output] = kernel(*(values[index] for index in inputs_of(op)))
        yield values


def _kernel(graph: Graph, op: Op) -> Kernel:
    match op:
        case Conv2D() | DepthwiseConv2D() | FullyConnected():
            return _weighted(graph, op)
        case Add():
            return _binary(graph, op, _add(graph, op))
        case Mul():
            return _binary(graph, op, _mul(graph, op))
        case AveragePool2D():
            return _average_pool(graph, op)
        case MaxPool2D():
            return _max_pool(graph, op)
        case Reshape():
            shape = graph.tensors[op.output].shape[1:]
            return lambda x: x.reshape(len(x), *shape)
        case Softmax():
            parameters = softmax_parameters(graph, op)
            return lambda x: softmax_rows(x.reshape(-1, x.shape[-1]), parameters).reshape(x.shape)
        case Requantize():
            return _looked_up(_requantize_table(graph, op))
        case Lookup():
            return _looked_up(lookup_table(graph, op))
        case Mean():
            return _mean(graph, op)
        case Pad():
            sides, value = tuple(zip(op.before, op.after, strict=True)), op.value
            return lambda x: np.pad(x, sides, constant_values=value)
        case Concatenate():
            return lambda *parts: np.concatenate(parts, op.axis)
        case _:
            assert_never(op)


def _weighted(graph: Graph, op: Conv2D | DepthwiseConv2D | FullyConnected) -> Kernel:
    """clamp(zero point + M_c(bias_c + sum of (x - input zero point) * weight)) per channel c."""
    accumulate = accumulator(graph, op)
    out = graph.tensors[op.output]
    pairs = np.array(conv_multipliers(graph, op), np.int64)
    offset, lo_hi = accumulator_offset(graph, op), clamp_range(out, op.activation)
    # Constants are spread over the whole row (all positions and channels of a sample): long
    # inner loops are what NumPy is fast at.
    repeats = out.elements // len(offset)
    offset, multiplier, shift = (
        np.tile(np.broadcast_to(values, len(offset)), repeats)
        for values in (offset, pairs[:, 0], pairs[:, 1])
    )

    def run_op(x: Int8Array) -> Int8Array:
        sums = accumulate(x).reshape(len(x), -1).astype(np.int64)
        sums += offset
        sums = multiply_by_quantized_multiplier(sums, multiplier, shift)
        sums += out.zero_point
        return np.clip(sums, *lo_hi, out=sums).astype(np.int8).reshape(len(x), *out.shape[1:])

    return run_op


def _add(graph: Graph, op: Add) -> Kernel:
    p = add_parameters(graph, op)

    def scaled(offset: int, multiplier: int, shift: int) -> Int64Array:
        values = (every_int8() + offset) << p.left_shift
        return multiply_by_quantized_multiplier(values, multiplier, shift)

    table1 = scaled(p.input1_offset, p.input1_multiplier, p.input1_shift)
    table2 = scaled(p.input2_offset, p.input2_multiplier, p.input2_shift)

    def run_op(left: Int8Array, right: Int8Array) -> Int8Array:
        sums = table1[left.view(np.uint8)] + table2[right.view(np.uint8)]
        sums = multiply_by_quantized_multiplier(sums, p.output_multiplier, p.output_shift)
        return np.clip(sums + p.output_offset, p.lo, p.hi).astype(np.int8)

    return run_op


def _mul(graph: Graph, op: Mul) -> Kernel:
    p = mul_parameters(graph, op)

    def run_op(left: Int8Array, right: Int8Array) -> Int8Array:
        products = (left.astype(np.int64) + p.input1_offset) * (
            right.astype(np.int64) + p.input2_offset
        )
        values = multiply_by_quantized_multiplier(products, p.multiplier, p.shift)
        return np.clip(values + p.output_offset, p.lo, p.hi).astype(np.int8)

    return run_op


def _binary(graph: Graph, op: Add | Mul, kernel: Kernel) -> Kernel:
    """`kernel` with its right operand, a constant or not, shaped to repeat over the left one."""
    left, right = graph.tensors[op.left], graph.tensors[op.right]
    shape = (*(1,) * (len(left.shape) - len(right.shape)), *right.shape[1:])
    if not op.constant:
        return lambda a, b: kernel(a, b.reshape(len(b), *shape))
    if right.data is None:
        raise UserError(f"{op.name}: {right.name} has no data")
    data = right.data
    return lambda a: kernel(a, data)


def _requantize_table(graph: Graph, op: Requantize) -> Int8Array:
    p = requantize_parameters(graph, op)
    values = multiply_by_quantized_multiplier(every_int8() + p.input_offset, p.multiplier, p.shift)
    table: Int8Array = np.clip(values + p.output_offset, p.lo, p.hi).astype(np.int8)
    return table


def _looked_up(table: Int8Array) -> Kernel:
    def run_op(x: Int8Array) -> Int8Array:
        looked_up: Int8Array = table[x.view(np.uint8)]
        return looked_up

    return run_op


def _mean(graph: Graph, op: Mean) -> Kernel:
    p, shape = mean_parameters(graph, op), graph.tensors[op.output].shape

    def run_op(x: Int8Array) -> Int8Array:
        sums = x.sum(axis=op.axes, dtype=np.int64) + p.sum_offset
        means = multiply_by_quantized_multiplier(sums, p.multiplier, p.shift) + p.output_offset
        return np.clip(means, INT8_MIN, INT8_MAX).astype(np.int8).reshape(len(x), *shape[1:])

    return run_op


def _average_pool(graph: Graph, op: AveragePool2D) -> Kernel:
    """(sum +- count / 2) / count, truncated: to nearest, ties away from zero; in-bounds only."""
    shape = graph.tensors[op.output].shape
    lo_hi = clamp_range(graph.tensors[op.output], op.activation)

    def window_sums(x: Int8Array) -> Int32Array:
        padded = pad(x, op.padding, 0).astype(np.int32)
        sums = np.zeros((len(x), *shape[1:3], x.shape[3]), np.int32)
        for tap in taps(padded, op.filter, op.stride, (1, 1), shape):
            sums += tap
        return sums

    counts = window_sums(np.ones((1, *graph.tensors[op.input].shape[1:3], 1), np.int8))

    def run_op(x: Int8Array) -> Int8Array:
        sums = window_sums(x)
        means: Int32Array = (np.abs(sums) + counts // 2) // counts
        return np.clip(np.where(sums < 0, -means, means), *lo_hi).astype(np.int8)

    return run_op


def _max_pool(graph: Graph, op: MaxPool2D) -> Kernel:
    shape = graph.tensors[op.output].shape
    lo_hi = clamp_range(graph.tensors[op.output], op.activation)

    def run_op(x: Int8Array) -> Int8Array:
        highest = np.full((len(x), *shape[1:]), INT8_MIN, np.int8)
        padded = pad(x, op.padding, INT8_MIN)
        for tap in taps(padded, op.filter, op.stride, (1, 1), shape):
            np.maximum(highest, tap, out=highest)
        return np.clip(highest, *lo_hi, out=highest)

    return run_op
