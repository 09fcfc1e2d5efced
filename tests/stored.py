"""Graphs whose weights are stored smaller than int8."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compress.types import DType, Graph
from hil.codegen.weight_storage import Weighted


def with_weights(graph: Graph, bits: int, zeros: float, dtype: DType = "int8") -> Graph:
    """`graph` with weights of `bits` bits, a share `zeros` of them zero; as large in reality."""
    rng = np.random.default_rng(0)
    tensors, highest = list(graph.tensors), 1 << bits - 1
    for op in graph.ops:
        if not isinstance(op, Weighted):
            continue
        weights, bias = tensors[op.weights], tensors[op.bias]
        values = rng.integers(-highest, highest, weights.shape).astype(np.int8)
        values[rng.random(weights.shape) < zeros] = 0
        assert bias.data is not None
        tensors[op.weights] = replace(
            weights,
            dtype=dtype,
            data=values,
            scales=tuple(scale * 128 / highest for scale in weights.scales),
        )
        tensors[op.bias] = replace(
            bias,
            data=bias.data * highest // 128,
            scales=tuple(scale * 128 / highest for scale in bias.scales),
        )
    return replace(graph, tensors=tuple(tensors))
