"""Graphs in TensorFlow 1's uint8 quantization, made from those of int8."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compress.ops import TransposeConv2D, Weighted
from compress.types import Graph


def in_uint8(graph: Graph, seed: int, extremes: float = 0.05) -> Graph:
    """`graph` with weights of one scale and a random zero point, and with uint8's rounding.

    Weights keep their real values where the type holds them; a share `extremes` of them becomes
    the lowest or highest value. Transposed convolutions keep zero point 0.
    """
    rng = np.random.default_rng(seed)
    tensors = list(graph.tensors)
    for op in graph.ops:
        if not isinstance(op, Weighted):
            continue
        weights, bias = tensors[op.weights], tensors[op.bias]
        assert weights.data is not None
        zero_point = 0
        values = weights.data.astype(np.int64)
        if not isinstance(op, TransposeConv2D):
            zero_point = int(rng.choice([-128, 127, 0, rng.integers(-128, 128)]))
            extreme = rng.random(weights.shape) < extremes
            values = np.where(extreme, rng.choice([-128, 127], weights.shape), values + zero_point)
        tensors[op.weights] = replace(
            weights,
            dtype="int8",
            data=np.clip(values, -128, 127).astype(np.int8),
            scales=weights.scales[:1],
            zero_point=zero_point,
            axis=None,
        )
        tensors[op.bias] = replace(bias, scales=bias.scales[:1], axis=None)
    return replace(graph, tensors=tuple(tensors), uint8=True)
