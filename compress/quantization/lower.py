"""Lower a float network to the integer `Graph`.

Scheme (TensorFlow Lite int8 specification, and its 16x8 variant): weights symmetric, one scale per
output channel or per tensor (Linear: per tensor, as the specification's FULLY_CONNECTED);
activations int8, asymmetric or symmetric, or int16, symmetric, one scale per tensor, range always
containing zero; bias int32 at scale input * weight. Input and output of the graph are int8.
"""

from typing import TYPE_CHECKING

import numpy as np

from compress.errors import UnsupportedLayer
from compress.frontend.capture import capture, trace_module
from compress.frontend.fuse import fuse
from compress.frontend.layers import Layer
from compress.genome import Quantize
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
from compress.quantization.fake_quantize import calibrate
from compress.quantization.grids import WEIGHTED, Grids, calibrated_values, weighted_layer_names
from compress.quantization.refine import refined
from compress.quantization.scheme import Learned, Scheme
from compress.quantization.weight_grids import LayerWeights, integer_bias, quantized_weights
from compress.types import Array, DType, Graph, Int8Array, Tensor

if TYPE_CHECKING:
    from torch import nn

_ACTIVATION_TYPES: dict[int, DType] = {8: "int8", 16: "int16"}


def quantize_input(graph: Graph, x: Array) -> Int8Array:
    """Samples x float (N, C, H, W) as the graph's int8 input (N, H, W, C)."""
    tensor = graph.input_tensor
    scaled = np.round(x.transpose(0, 2, 3, 1) / np.float32(tensor.scale)) + tensor.zero_point
    result: Int8Array = np.clip(scaled, -128, 127).astype(np.int8)
    return result


def lower(
    module: "nn.Module",
    spec: Quantize,
    x: Array,
    name: str,
    layers: tuple[str, ...] = (),
    learned: Learned | None = None,
    seed: int = 0,
) -> Graph:
    """The integer graph of `module` under `spec`, calibrated on x float32 (N, C, H, W).

    `layers` are the weighted layers of the original network, which `spec` states its bits for
    (`compress.quantization.scheme`); without them, those of `module`. Where they fit, `learned`
    steps take the place of calibrated ones. `seed` is AdaRound's. Equalization is not done here: it
    changes the float network (`compress.quantization.equalize`), before that is trained under
    `spec`.

    Raises UnsupportedLayer for what has no integer kernel, and Infeasible for wrong bit widths and
    where the network's values are not finite.
    """
    traced = trace_module(module, x.shape[1:])
    captured, source, output = capture(traced)
    scheme, fused = Scheme(spec, layers or weighted_layer_names(captured)), fuse(captured, output)
    seen = calibrate(traced, calibrated_values(fused, source), x, spec)
    grids = Grids(fused, source, scheme, seen, learned or Learned())
    weights = rounded_to_nearest(grids)
    if spec.correct_bias or spec.rounding == "adaround":
        weights = refined(grids, weights, x, seed)
    builder = _Builder(grids, weights)
    _, channels, height, width = x.shape
    first = builder.activation(source, (1, height, width, channels))
    for layer in fused:
        builder.add(layer)
    last = builder.converted(output, 8)
    return Graph(name, tuple(builder.tensors), tuple(builder.ops), first, last)


def rounded_to_nearest(grids: Grids) -> dict[str, LayerWeights]:
    """Integer weights of every weighted layer, by the name of the value that it makes."""
    spec, weights = grids.scheme.spec, {}
    for layer in grids.layers:
        if layer.kind in WEIGHTED:
            bits = grids.scheme.of(layer.name)
            scale = grids.of(layer.inputs[0], bits.activations).scale
            peaks = grids.learned.peaks.get(layer.name)
            weights[layer.output] = quantized_weights(
                layer, bits.weights, spec.granularity, spec.weight_range, scale, peaks
            )
    return weights


class _Builder:
    """Collects tensors and operators of a `Graph` while walking fused layers."""

    def __init__(self, grids: Grids, weights: dict[str, LayerWeights]) -> None:
        self.grids = grids
        self.weights = weights
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []
        self.index: dict[tuple[str, int], int] = {}

    def activation(self, value: str, shape: tuple[int, ...], bits: int | None = None) -> int:
        """A new tensor for `value` in its own bits, or in others."""
        grid = self.grids.of(value, bits)
        dtype = _ACTIVATION_TYPES[grid.bits]
        name = value if bits is None else f"{value}.{dtype}"
        index = self._tensor(Tensor(name, shape, dtype, (grid.scale,), grid.zero_point))
        self.index[value, grid.bits] = index
        return index

    def converted(self, value: str, bits: int) -> int:
        """The tensor of `value` in `bits`, made by a Requantize if it is not there yet."""
        if (value, bits) not in self.index:
            own = self.index[value, self.grids.bits[value]]
            index = self.activation(value, self.tensors[own].shape, bits)
            self.ops.append(Requantize(self.tensors[index].name, own, index))
        return self.index[value, bits]

    def add(self, layer: Layer) -> None:
        bits = self.grids.bits[layer.output]
        inputs = [self.converted(value, bits) for value in layer.inputs]
        weights = self.weights.get(layer.output)
        constants = () if weights is None else self._constants(layer, weights, inputs[0])
        output = self.activation(layer.output, layer.shape)
        self.ops.append(_op(layer, inputs, constants, output))

    def _constants(self, layer: Layer, weights: LayerWeights, source: int) -> tuple[int, int]:
        scales, axis, values = weights.scales, weights.axis, weights.values
        bias, bias_scales = integer_bias(weights, self.tensors[source].scale)
        made = Tensor(
            f"{layer.name}.weight",
            values.shape,
            weights.dtype,
            tuple(map(float, scales)),
            axis=axis,
            data=values,
        )
        shift = Tensor(
            f"{layer.name}.bias",
            bias.shape,
            "int32",
            tuple(map(float, bias_scales)),
            axis=None if axis is None else 0,
            data=bias,
        )
        return self._tensor(made), self._tensor(shift)

    def _tensor(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1


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
