"""Lower a float network to the integer `Graph`.

Scheme (TensorFlow Lite int8 specification): weights symmetric in [-127, 127], one scale per output
channel (Linear: one per tensor, as the specification's FULLY_CONNECTED); activations asymmetric,
one scale per tensor, range always containing zero; bias int32 at scale input * weight.
"""

from typing import TYPE_CHECKING

import numpy as np

from compress.capture import capture, trace
from compress.errors import UnsupportedLayer
from compress.fuse import fuse
from compress.genome import Quantize
from compress.layers import Layer
from compress.ops import (
    Add,
    AveragePool2D,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool2D,
    Op,
    Requantize,
    Reshape,
    Softmax,
)
from compress.quantize import MAX_WEIGHT, SAME_SCALE, Range, affine, calibrate, covered
from compress.types import Array, DType, Graph, Int8Array, Tensor

if TYPE_CHECKING:
    from torch import nn

# A bias must stay well inside int32 after division by its scale.
_MAX_BIAS = 2.0**30


def quantize_input(graph: Graph, x: Array) -> Int8Array:
    """Samples x float (N, C, H, W) as the graph's int8 input (N, H, W, C)."""
    tensor = graph.input_tensor
    scaled = np.round(x.transpose(0, 2, 3, 1) / np.float32(tensor.scale)) + tensor.zero_point
    result: Int8Array = np.clip(scaled, -128, 127).astype(np.int8)
    return result


def lower(module: "nn.Module", spec: Quantize, x: Array, name: str) -> Graph:
    """The integer graph of `module` under `spec`, calibrated on x float32 (N, C, H, W).

    Raises UnsupportedLayer for what has no integer kernel.
    """
    traced = trace(module, x.shape[1:])
    layers, source, output = capture(traced)
    fused = fuse(layers, output)
    ranges = calibrate(traced, {source, *(layer.output for layer in fused)}, x, covered(spec))
    builder = _Builder(ranges)
    _, channels, height, width = x.shape
    first = builder.activation(source, (1, height, width, channels))
    for layer in fused:
        builder.add(layer)
    return Graph(name, tuple(builder.tensors), tuple(builder.ops), first, builder.index[output])


class _Builder:
    """Collects tensors and operators of a `Graph` while walking fused layers."""

    def __init__(self, ranges: dict[str, Range]) -> None:
        self.ranges = ranges
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []
        self.index: dict[str, int] = {}

    def activation(
        self,
        value: str,
        shape: tuple[int, ...],
        like: Tensor | None = None,
        probability: bool = False,
    ) -> int:
        if like is not None:
            scale, zero_point = like.scale, like.zero_point
        elif probability:
            scale, zero_point = 1.0 / 256.0, -128
        else:
            scale, zero_point = affine(*self.ranges[value])
        self.index[value] = self._tensor(value, shape, "int8", (scale,), zero_point)
        return self.index[value]

    def _tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: DType,
        scales: tuple[float, ...],
        zero_point: int = 0,
        axis: int | None = None,
        data: Array | None = None,
    ) -> int:
        self.tensors.append(Tensor(name, shape, dtype, scales, zero_point, axis, data))
        return len(self.tensors) - 1

    def add(self, layer: Layer) -> None:
        inputs = [self.index[value] for value in layer.inputs]
        source = self.tensors[inputs[0]]
        constants = self._constants(layer, source.scale)
        output = self.activation(
            layer.output,
            layer.shape,
            like=source if layer.kind in SAME_SCALE else None,
            probability=layer.kind == "softmax",
        )
        self.ops.append(_op(layer, inputs, constants, output))

    def _constants(self, layer: Layer, input_scale: float) -> tuple[int, ...]:
        if layer.weight is None:
            return ()
        weight = layer.weight
        axis = {"conv": 0, "depthwise": 3}.get(layer.kind)
        channels = weight.shape[3] if layer.kind == "depthwise" else weight.shape[0]
        bias = np.zeros(channels, np.float32) if layer.bias is None else layer.bias
        scales = weight_scales(weight, bias, input_scale, axis)
        along = [1] * weight.ndim
        if axis is not None:
            along[axis] = -1
        whole = np.round(weight / scales.reshape(along).astype(np.float64))
        bias_scales = np.float32(input_scale) * scales
        whole_bias = np.round(bias / np.broadcast_to(bias_scales, bias.shape).astype(np.float64))
        return (
            self._tensor(
                f"{layer.name}.weight",
                weight.shape,
                "int8",
                tuple(map(float, scales)),
                axis=axis,
                data=np.clip(whole, -MAX_WEIGHT, MAX_WEIGHT).astype(np.int8),
            ),
            self._tensor(
                f"{layer.name}.bias",
                bias.shape,
                "int32",
                tuple(map(float, bias_scales)),
                axis=None if axis is None else 0,
                data=whole_bias.astype(np.int32),
            ),
        )


def weight_scales(weight: Array, bias: Array, input_scale: float, axis: int | None) -> Array:
    """float32 scales of a weight tensor, one per slice along `axis` or one in all.

    The largest magnitude maps to 127; a slice so small that its bias would overflow int32 gets
    the smallest scale that holds the bias.
    """
    if axis is None:
        peak, bias_peak = np.abs(weight).max(keepdims=True).reshape(1), np.abs(bias).max()
    else:
        others = tuple(d for d in range(weight.ndim) if d != axis)
        peak, bias_peak = np.abs(weight).max(axis=others), np.abs(bias)
    scales = np.maximum(peak / MAX_WEIGHT, bias_peak / (input_scale * _MAX_BIAS))
    return np.where(scales > 0, scales, 1.0 / MAX_WEIGHT).astype(np.float32)


def _op(layer: Layer, inputs: list[int], constants: tuple[int, ...], output: int) -> Op:
    name, source = layer.name, inputs[0]
    match layer.kind:
        case "conv" | "depthwise":
            kind = Conv2D if layer.kind == "conv" else DepthwiseConv2D
            weights, bias = constants
            geometry = (layer.stride, layer.dilation, layer.padding, layer.activation)
            return kind(name, source, weights, bias, output, *geometry)
        case "linear":
            weights, bias = constants
            return FullyConnected(name, source, weights, bias, output, layer.activation)
        case "add":
            return Add(name, source, inputs[1], output, layer.activation)
        case "average_pool" | "max_pool":
            pool = AveragePool2D if layer.kind == "average_pool" else MaxPool2D
            return pool(name, source, output, layer.filter, layer.stride, layer.padding)
        case "reshape":
            return Reshape(name, source, output)
        case "softmax":
            return Softmax(name, source, output)
        case "activation":
            return Requantize(name, source, output, layer.activation)
        case "batch_norm" | "pad":
            raise UnsupportedLayer(f"{name}: {layer.kind} left after fusing")
