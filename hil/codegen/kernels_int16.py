"""Which of our own kernels runs an operator on int16 activations, on any board."""

from __future__ import annotations

from compress.errors import UnsupportedLayer
from compress.ops import (
    Add,
    AveragePool2D,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool2D,
    Op,
    Requantize,
)
from compress.types import Graph

# Products of an int16 and an int8 whose sum stays inside of int32: depthwise_s16 adds as many.
MOST_INT16_TAPS = 511


def int16_kernel(graph: Graph, op: Op) -> str:
    """Name of the C function for `op`. Raises UnsupportedLayer, naming it, where there is none."""
    match op:
        case Conv2D() | FullyConnected():
            return "convolve_s16"
        case DepthwiseConv2D():
            _, rows, columns, _ = graph.tensors[op.weights].shape
            if rows * columns > MOST_INT16_TAPS:
                raise UnsupportedLayer(f"{op.name}: more than {MOST_INT16_TAPS} taps on int16")
            return "depthwise_s16"
        case Add() if not op.constant:
            return "add_s16"
        case AveragePool2D():
            return "average_pool_s16"
        case MaxPool2D():
            return "max_pool_s16"
        case Requantize():
            source, out = graph.tensors[op.input].dtype, graph.tensors[op.output].dtype
            if source == out:
                return "requantize_s16"
            return "requantize_s8_s16" if out == "int16" else "requantize_s16_s8"
        case _:
            raise UnsupportedLayer(
                f"{op.name}: there is no kernel for {type(op).__name__} on int16"
            )
