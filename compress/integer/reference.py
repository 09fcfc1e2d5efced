"""Executes an integer `Graph` in NumPy, bit for bit as TFLite's reference kernels do.

The semantics are those of tensorflow/lite/kernels/internal/reference of release 2.14 with double
rounding, which is also what CMSIS-NN computes by default. On int16 activations they are those of
"16x8": accumulators have 64 bits and are scaled by 16-bit multipliers, rounding once. The kernels
are in the families of `compress.operators`. Sums of products run in
`compress.arithmetic.accumulate`, exactly, so results do not depend on the BLAS or the number of
threads.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compress.arithmetic.tables import Kernel
from compress.errors import UserError
from compress.integer.rows import pack_rows, unpack_rows
from compress.operators.registry import operator_of
from compress.ops import inputs_of, outputs_of
from compress.types import Graph, Int8Array, IntArray

# Samples are run in blocks whose largest tensor has about this many elements: the wide
# intermediates (8 bytes each) then stay in the cache and memory stays bounded.
_BLOCK_ELEMENTS = 1 << 17


def run(graph: Graph, inputs: Int8Array) -> Int8Array:
    """Outputs for inputs int8 (N, ...), N consecutive inferences that begin with the first state.

    `inputs` are of shape (N, *input shape[1:]) or rows of the bytes of all inputs
    (`compress.integer.rows`). The outputs are int8 (N, *output shape[1:]) if there is one, of int8;
    otherwise rows of the bytes of all outputs.

    Raises UserError for inputs of another shape or type and UnsupportedLayer for an operator
    whose parameters have no fixed-point form.
    """
    outputs = [[values[index] for index in graph.outputs] for values in _blocks(graph, inputs)]
    values = [np.concatenate(parts) for parts in zip(*outputs, strict=True)]
    shaped = len(values) == 1 and values[0].dtype == np.int8
    result: Int8Array = values[0] if shaped else pack_rows(values)
    return result


def trace(graph: Graph, inputs: Int8Array) -> dict[int, IntArray]:
    """Every activation by tensor index, each int8 or int16 (N, *shape[1:]). As `run`."""
    blocks = list(_blocks(graph, inputs))
    return {index: np.concatenate([b[index] for b in blocks]) for index in blocks[0]}


def _blocks(graph: Graph, inputs: Int8Array) -> Iterator[dict[int, IntArray]]:
    """All activations of one block of samples after the other; of one sample if there is state."""
    given = _inputs(graph, inputs)
    kernels: list[Kernel] = [operator_of(op).kernel(graph, op) for op in graph.ops]
    largest = max(t.elements for t in graph.tensors if t.data is None)
    block = 1 if graph.variables else max(1, _BLOCK_ELEMENTS // largest)
    states = {variable.read: variable.initial for variable in graph.variables}
    for start in range(0, len(inputs), block):
        values: dict[int, IntArray] = {
            index: value[start : start + block]
            for index, value in zip(graph.inputs, given, strict=True)
        }
        values.update(states)
        for op, kernel in zip(graph.ops, kernels, strict=True):
            result = kernel(*(values[index] for index in inputs_of(op)))
            results = result if isinstance(result, tuple) else (result,)
            values.update(zip(outputs_of(op), results, strict=True))
        states = {variable.read: values[variable.written] for variable in graph.variables}
        yield values


def _inputs(graph: Graph, inputs: Int8Array) -> tuple[IntArray, ...]:
    """The values of each input. Raises UserError for another shape or type."""
    tensors = graph.input_tensors
    total = sum(tensor.size_bytes for tensor in tensors)
    whole = [tensor.shape[1:] for tensor in tensors if len(tensors) == 1 and tensor.dtype == "int8"]
    if inputs.dtype != np.int8 or len(inputs) == 0 or inputs.shape[1:] not in (*whole, (total,)):
        shapes = " or ".join(f"(N >= 1, {', '.join(map(str, s))})" for s in (*whole, (total,)))
        raise UserError(
            f"{graph.name}: inputs are {inputs.dtype} {inputs.shape}, must be int8 {shapes}"
        )
    return unpack_rows(tensors, inputs)
