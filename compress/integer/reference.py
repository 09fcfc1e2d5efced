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
from compress.operators.registry import operator_of
from compress.ops import inputs_of
from compress.types import Graph, Int8Array, IntArray

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
    kernels: list[Kernel] = [operator_of(op).kernel(graph, op) for op in graph.ops]
    largest = max(t.elements for t in graph.tensors if t.data is None)
    block = max(1, _BLOCK_ELEMENTS // largest)
    for start in range(0, len(inputs), block):
        values: dict[int, IntArray] = {graph.input: inputs[start : start + block]}
        for op, kernel in zip(graph.ops, kernels, strict=True):
            values[op.output] = kernel(*(values[index] for index in inputs_of(op)))
        yield values
