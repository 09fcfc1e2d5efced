"""Changes to the numbers of a graph's last layer that tuned kernels refuse, or nearly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compress.ops import Conv2D, DepthwiseConv2D, FullyConnected, inputs_of, outputs_of
from compress.types import Array, Graph, Tensor

Layer = Conv2D | DepthwiseConv2D | FullyConnected

TWISTS = (
    "none",
    "left shift",
    "left shift that wraps",
    "large shift",
    "zero multiplier",
    "bias at the end of int32",
    "weights of -128",
    "constant channels",
    "large weights",
    "sums of 29.3 bits",
    "sums of 29.7 bits",
    "sums of 30.1 bits",
    "sums of 30.7 bits",
    "sums of almost 30 bits",
)
# What no graph that is checked has: `hil.kernels` refuses it before.
IMPOSSIBLE = (
    "weights that are computed",
    "a bias that is computed",
    "weights with a zero point",
    "int16",
)


def twisted(graph: Graph, twist: str) -> Graph:
    """The graph with other numbers in its last layer."""
    op = graph.ops[-1]
    tensors = [*graph.tensors]
    if twist == "int16":
        for index in (*inputs_of(op), *outputs_of(op)):
            tensors[index] = replace(tensors[index], dtype="int16")
        return replace(graph, tensors=tuple(tensors))
    if not isinstance(op, Conv2D | DepthwiseConv2D | FullyConnected) or twist == "none":
        return graph
    out, weights, bias = tensors[op.output], tensors[op.weights], tensors[op.bias]
    assert weights.data is not None
    assert bias.data is not None
    scale = {"left shift": 1e-4, "large shift": 1e6, "zero multiplier": 1e11}.get(twist)
    if scale is not None:
        tensors[op.output] = replace(out, scales=(float(np.float32(out.scale * scale)),))
    elif twist == "sums of almost 30 bits":
        tensors[op.bias], tensors[op.output] = _almost_30_bits(graph, op)
    elif twist.startswith("sums of"):
        tensors[op.bias], tensors[op.output] = _sums_of(
            graph, op, 2 ** float(twist.split()[2]), factor=2**-22.99
        )
    elif twist == "left shift that wraps":
        tensors[op.bias], tensors[op.output] = _sums_of(graph, op, 2.0**24, factor=2.0**10)
    elif twist == "bias at the end of int32":
        tensors[op.bias] = _with(bias, np.full_like(bias.data, 2**31 - 1))
    elif twist == "constant channels":
        some = np.arange(bias.data.size).reshape(bias.data.shape) % 2 == 0
        tensors[op.bias] = _with(bias, np.where(some, 2**26, bias.data))
    elif twist in ("weights of -128", "large weights"):
        low = -8 if weights.dtype == "int4" else -128 if twist == "weights of -128" else 120
        tensors[op.weights] = _with(weights, np.full_like(weights.data, low))
    elif twist == "weights that are computed":
        tensors[op.weights] = replace(weights, data=None)
    elif twist == "a bias that is computed":
        tensors[op.bias] = replace(bias, data=None)
    elif twist == "weights with a zero point":
        tensors[op.weights] = replace(weights, zero_point=3)
    return replace(graph, tensors=tuple(tensors))


def _sums_of(graph: Graph, op: Layer, size: float, factor: float) -> tuple[Tensor, Tensor]:
    """A bias of about `size` and an output so that sums are multiplied by at most `factor`.

    Results lie near a half, so that they depend on the input.
    """
    bias, out = graph.tensors[op.bias], graph.tensors[op.output]
    source, weights = graph.tensors[op.input], graph.tensors[op.weights]
    assert bias.data is not None
    factors = source.scale * np.asarray(weights.scales)
    scale = float(np.float32(factors.max() / factor))
    by = np.broadcast_to(factors / scale, bias.data.shape)
    values = (np.floor(size * by) + 0.5) / by
    limit = 2**31 - 2**20
    return _with(bias, np.clip(values, -limit, limit)), replace(
        out, scales=(scale,), zero_point=-128
    )


def _almost_30_bits(graph: Graph, op: Layer) -> tuple[Tensor, Tensor]:
    """A bias with which sums of any inputs stay below 2**30, but not those of inputs up to 255.

    The first channel's result lies near a half. Weights are those of channels on the last axis.
    """
    bias, weights, source = (graph.tensors[index] for index in (op.bias, op.weights, op.input))
    assert weights.data is not None
    taps = weights.data.reshape(-1, weights.data.shape[-1]).astype(np.int64)
    taken = 128 * np.abs(taps).sum(0) + np.abs(source.zero_point * taps.sum(0))
    values = np.resize(2**30 - 1 - taken, bias.elements)
    scale = source.scale * weights.scales[0] * float(values[0]) / 140.5
    output = replace(graph.tensors[op.output], scales=(float(np.float32(scale)),), zero_point=-128)
    return _with(bias, values), output


def _with(tensor: Tensor, values: Array) -> Tensor:
    assert tensor.data is not None
    return replace(tensor, data=values.astype(tensor.data.dtype))
