"""Analytic cost of a graph: MACs, bit operations, bytes of weights and of live activations.

The bytes are lower bounds, not measurements: flash and RAM come from the linker and the memory
plan. MACs are counted as TFLite and MLPerf Tiny do: multiplications of weights with inputs,
padding included. Bit operations are MACs times the bits of both factors, which are the
multiplications of Baskin et al., arXiv:1804.10969, without the additions; zeros count, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from compress.operators.registry import operator_of
from compress.ops import (
    ElementWise,
    Op,
    Reshape,
    constants_of,
    inputs_of,
    outputs_of,
    states_of,
)
from compress.types import Graph, Tensor


@dataclass(frozen=True, slots=True)
class Cost:
    """Totals of one inference: multiply-accumulates, bytes of constants, bytes of live tensors.

    `bops` are bit operations, `zero_share` the share (0 .. 1) of weights that are zero.
    """

    macs: int
    weight_bytes: int
    peak_activation_bytes: int
    bops: int
    zero_share: float


def cost(graph: Graph) -> Cost:
    """All costs of `graph`."""
    return Cost(
        macs=total_macs(graph),
        weight_bytes=weight_bytes(graph),
        peak_activation_bytes=peak_activation_bytes(graph),
        bops=bops(graph),
        zero_share=zero_share(graph),
    )


def macs(graph: Graph, op: Op) -> int:
    """Multiply-accumulates of `op`; 0 for an operator without weights."""
    return sum(_macs_by_weights(graph, op).values())


def _macs_by_weights(graph: Graph, op: Op) -> Mapping[int, int]:
    """Multiply-accumulates of `op` by the index of the weight tensor."""
    return operator_of(op).macs(graph, op)


def total_macs(graph: Graph) -> int:
    return sum(macs(graph, op) for op in graph.ops)


def bops(graph: Graph) -> int:
    """Bit operations: MACs * `weight_bits` * bits of the input, summed over the operators."""
    return sum(
        count * weight_bits(graph.tensors[weights]) * _input_bits(graph, op)
        for op in graph.ops
        for weights, count in _macs_by_weights(graph, op).items()
    )


def _input_bits(graph: Graph, op: Op) -> int:
    return 16 if graph.tensors[inputs_of(op)[0]].dtype == "int16" else 8


def weight_bits(tensor: Tensor) -> int:
    """Bits of the narrowest of int2, int4 and int8 that holds every value, whatever its type says.

    A 2-bit tensor is stored as int4, and int4 becomes int8 where TensorFlow Lite has no kernel for
    it: only the values tell.
    """
    if tensor.data is None or tensor.data.size == 0:
        return 8
    lowest, highest = int(tensor.data.min()), int(tensor.data.max())
    fitting = (bits for bits in (2, 4) if -(1 << bits - 1) <= lowest and highest < 1 << bits - 1)
    return next(fitting, 8)


def zero_share(graph: Graph) -> float:
    """Share of zeros among all weights, without biases; 0 for a graph without weights."""
    elements = sum(tensor.elements for tensor in _weight_tensors(graph))
    return 1 - nonzero_weights(graph) / elements if elements else 0.0


def nonzero_weights(graph: Graph) -> int:
    """Number of weights other than zero, without biases."""
    return sum(
        int(np.count_nonzero(tensor.data != tensor.zero_point)) for tensor in _weight_tensors(graph)
    )


def _weight_tensors(graph: Graph) -> list[Tensor]:
    """The constant weights, each once."""
    indices = {index for op in graph.ops for index in _macs_by_weights(graph, op)}
    return [graph.tensors[index] for index in indices if graph.tensors[index].data is not None]


def weight_bytes(graph: Graph) -> int:
    """Bytes of all weights and biases; one that several operators share counts once."""
    constants = {index for op in graph.ops for index in constants_of(op)}
    return sum(graph.tensors[index].size_bytes for index in constants)


def peak_activation_bytes(graph: Graph) -> int:
    """Largest sum of the bytes of live activations over the operators: a plan's lower bound.

    A tensor is live from the operator that writes it to the last that reads it, inputs from the
    start, outputs to the end, states always. A Reshape shares its input's bytes, an element-wise
    operator those of an input that it is the last to read. Scratch buffers and alignment come on
    top.
    """
    owner = {index: index for index in graph.sources}
    first, last = dict.fromkeys(owner, 0), dict.fromkeys(owner, 0)
    for step, op in enumerate(graph.ops):
        for index in inputs_of(op):
            last[owner[index]] = step
        for index in outputs_of(op):
            kept = states_of(op).get(index, index)
            owner[index] = owner[op.input] if isinstance(op, Reshape) else owner.get(kept, index)
            first.setdefault(owner[index], step)
            last[owner[index]] = step
    for index in graph.results:
        last[owner[index]] = len(graph.ops)

    def live_bytes(step: int, op: Op) -> int:
        live = [i for i in first if first[i] <= step <= last[i]]
        out = sum(graph.tensors[i].size_bytes for i in outputs_of(op))
        shared = isinstance(op, ElementWise) and any(
            last[owner[i]] == step and graph.tensors[i].size_bytes == out for i in inputs_of(op)
        )
        return sum(graph.tensors[i].size_bytes for i in live) - (out if shared else 0)

    steps = [live_bytes(step, op) for step, op in enumerate(graph.ops)]
    return max([sum(tensor.size_bytes for tensor in graph.input_tensors), *steps])
