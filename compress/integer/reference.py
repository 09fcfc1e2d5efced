"""Executes an integer `Graph` in NumPy, bit for bit as TFLite's reference kernels do.

The semantics are those of tensorflow/lite/kernels/internal/reference/integer_ops (conv.h,
depthwise_conv.h, fully_connected.h, add.h, mul.h, pooling.h), reference/reduce.h and
reference/requantize.h of release 2.14 with double rounding, which is also what CMSIS-NN computes by
default; for int16 activations those of "16x8", where accumulators have 64 bits and are scaled by
16-bit multipliers, rounding once. Sums of products run in `compress.integer.accumulate`, exactly,
so results do not depend on the BLAS or the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import assert_never

import numpy as np

from compress.errors import UserError
from compress.integer.accumulate import Weighted, accumulator, accumulator_offset
from compress.integer.fixedpoint import (
    INT8_MAX,
    INT8_MIN,
    Int64Array,
    clamp_range,
    conv_multipliers,
    multiply_by_quantized_multiplier,
    multiply_by_reduced_multiplier,
    reduced_multipliers,
    value_range,
)
from compress.integer.lookup import lookup_table
from compress.integer.parameters import (
    add_parameters,
    mean_parameters,
    mul_parameters,
    requantize_parameters,
    softmax_parameters,
)
from compress.integer.pools import average_pool, max_pool
from compress.integer.softmax import softmax_rows
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
from compress.types import Graph, Int8Array, IntArray, Tensor

Kernel = Callable[..., IntArray]

# Samples are run in blocks whose largest tensor has about this many elements: the wide
# intermediates (8 bytes each) then stay in the cache and memory stays bounded.
_BLOCK_ELEMENTS = 1 << 17


def run(graph: Graph, inputs: Int8Array) -> Int8Array:
    """Outputs int8 (N, *output shape[1:]) for inputs int8 (N, *input shape[1:]).

    Raises UserError for inputs of another shape or type and UnsupportedLayer for an operator
    whose parameters have no fixed-point form.
    """
    outputs = [values[graph.output] for values in _blocks(graph, inputs)]
    return np.concatenate(outputs).astype(np.int8, copy=False)


def trace(graph: Graph, inputs: Int8Array) -> dict[int, IntArray]:
    """Every activation by tensor index, each int8 or int16 (N, *shape[1:]). Raises as `run`."""
    blocks = list(_blocks(graph, inputs))
    return {index: np.concatenate([b[index] for b in blocks]) for index in blocks[0]}


def _blocks(graph: Graph, inputs: Int8Array) -> Iterator[dict[int, IntArray]]:
    shape = graph.input_tensor.shape[1:]
    if inputs.dtype != np.int8 or inputs.shape[1:] != shape or len(inputs) == 0:
        raise UserError(
            f"{graph.name}: inputs are {inputs.dtype} {inputs.shape}, must be int8 (N >= 1, "
            f"{', '.join(map(str, shape))})"
        )
    kernels = [(op, kernel_of(graph, op)) for op in graph.ops]
    largest = max(t.elements for t in graph.tensors if t.data is None)
    block = max(1, _BLOCK_ELEMENTS // largest)
    for start in range(0, len(inputs), block):
        values: dict[int, IntArray] = {graph.input: inputs[start : start + block]}
        for op, kernel in kernels:
            values[op.output] = kernel(*(values[index] for index in inputs_of(op)))
        yield values


def kernel_of(graph: Graph, op: Op) -> Kernel:
    """What computes `op`: activations (N, *shape[1:]) in, one out; raises as `run`."""
    match op:
        case Conv2D() | DepthwiseConv2D() | FullyConnected():
            return _weighted(graph, op)
        case Add():
            return _binary(graph, op, _add(graph, op))
        case Mul():
            return _binary(graph, op, _mul(graph, op))
        case AveragePool2D():
            return average_pool(graph, op)
        case MaxPool2D():
            return max_pool(graph, op)
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


def _weighted(graph: Graph, op: Weighted) -> Kernel:
    accumulate, rescale = accumulator(graph, op), rescaling_of(graph, op)
    offset = _over_positions(graph, op, accumulator_offset(graph, op))

    def run_op(x: IntArray) -> IntArray:
        sums = accumulate(x).reshape(len(x), -1).astype(np.int64)
        sums += offset
        return rescale(sums)

    return run_op


def rescaling_of(graph: Graph, op: Weighted) -> Callable[[Int64Array], IntArray]:
    """From accumulators of `op`, int64 (N, ...), to its output: clamp(zero point + M_c(sum)).

    M_c is the multiplication of channel c; on int16 there are no zero points and it is that of
    `reduced_multipliers`.
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
    """One value per channel, or one in all, spread over all positions of a sample.

    Long inner loops are what NumPy is fast at.
    """
    out = graph.tensors[op.output]
    channels = out.shape[-1]
    return np.tile(np.broadcast_to(values, channels), out.elements // channels)


def _add(graph: Graph, op: Add) -> Kernel:
    p, out = add_parameters(graph, op), graph.tensors[op.output]

    def scaled(operand: int, offset: int, multiplier: int, shift: int) -> Int64Array:
        values = (_every_value(graph.tensors[operand]) + offset) << p.left_shift
        return multiply_by_quantized_multiplier(values, multiplier, shift)

    table1 = scaled(op.left, p.input1_offset, p.input1_multiplier, p.input1_shift)
    table2 = scaled(op.right, p.input2_offset, p.input2_multiplier, p.input2_shift)

    def run_op(left: IntArray, right: IntArray) -> IntArray:
        sums = table1[_index(left)] + table2[_index(right)]
        sums = multiply_by_quantized_multiplier(sums, p.output_multiplier, p.output_shift)
        return np.clip(sums + p.output_offset, p.lo, p.hi).astype(out.item)

    return run_op


def _every_value(tensor: Tensor) -> Int64Array:
    """All values of the tensor's type, ordered by their unsigned representation: see `_index`."""
    lowest, highest = value_range(tensor.dtype)
    return np.roll(np.arange(lowest, highest + 1, dtype=np.int64), lowest)


def _index(x: IntArray) -> IntArray:
    """Where in a table over `_every_value` the values of x are."""
    return x.view(f"u{x.itemsize}")


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


def _requantize_table(graph: Graph, op: Requantize) -> IntArray:
    p, every = requantize_parameters(graph, op), _every_value(graph.tensors[op.input])
    values = multiply_by_quantized_multiplier(every + p.input_offset, p.multiplier, p.shift)
    out = graph.tensors[op.output]
    table: IntArray = np.clip(values + p.output_offset, p.lo, p.hi).astype(out.item)
    return table


def _looked_up(table: IntArray) -> Kernel:
    def run_op(x: IntArray) -> IntArray:
        looked_up: IntArray = table[_index(x)]
        return looked_up

    return run_op


def _mean(graph: Graph, op: Mean) -> Kernel:
    p, shape = mean_parameters(graph, op), graph.tensors[op.output].shape

    def run_op(x: Int8Array) -> Int8Array:
        sums = x.sum(axis=op.axes, dtype=np.int64) + p.sum_offset
        means = multiply_by_quantized_multiplier(sums, p.multiplier, p.shift) + p.output_offset
        return np.clip(means, INT8_MIN, INT8_MAX).astype(np.int8).reshape(len(x), *shape[1:])

    return run_op
