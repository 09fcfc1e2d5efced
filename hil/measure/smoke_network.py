"""The network of the smoke test: one layer, its inputs, and the outputs that it must give."""

from __future__ import annotations

import numpy as np

from compress.integer import reference
from compress.ops import FullyConnected
from compress.types import Graph, Samples, Tensor

_INPUTS, _UNITS, _SAMPLES = 16, 4, 8


def smoke_graph() -> Graph:
    """A fully connected layer of 16 inputs and 4 units, with fixed pseudorandom constants."""
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (_UNITS, _INPUTS), dtype=np.int8)
    bias = rng.integers(-500, 500, (_UNITS,), dtype=np.int32)
    tensors = (
        Tensor("input", (1, _INPUTS), "int8", (0.05,), -3),
        Tensor("weights", weights.shape, "int8", (0.01,), data=weights),
        Tensor("bias", bias.shape, "int32", (0.05 * 0.01,), data=bias),
        Tensor("output", (1, _UNITS), "int8", (0.125,), 4),
    )
    layer = FullyConnected("smoke", input=0, weights=1, bias=2, output=3)
    return Graph("smoke", tensors, (layer,), inputs=(0,), outputs=(3,))


def smoke_samples(graph: Graph) -> Samples:
    """Eight pseudorandom inputs and the reference's outputs."""
    inputs = np.random.default_rng(1).integers(-128, 128, (_SAMPLES, _INPUTS), dtype=np.int8)
    outputs = reference.run(graph, inputs)
    return Samples(inputs, np.zeros(_SAMPLES, np.int64), outputs)
