"""Lowering of a float network to the integer `Graph`.

Quantization scheme: the TensorFlow Lite int8 specification and its 16x8 variant.

- Weights: symmetric, one scale per output channel or per tensor (Linear: always per tensor, as
  FULLY_CONNECTED in the specification).
- Activations: one scale per tensor, range always including zero; int8 asymmetric or symmetric, or
  int16 symmetric. The graph's input and output are int8.
- Bias: int32 with scale = input scale * weight scale.
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
    Mean,
    Op,
    Requantize,
    Reshape,
    Softmax,
)
from compress.quantization.calibrate import calibrate
from compress.quantization.grids import (
    WEIGHTED,
    Grids,
    calibrated_values,
    over_whole_map,
    weighted_layer_names,
)
from compress.quantization.refine import refined_weights
from compress.quantization.scheme import Learned, Scheme
from compress.quantization.weight_grids import (
    LayerWeights,
    averaging_weights,
    integer_bias,
    quantized_weights,
)
from compress.types import Array, DType, Graph, Int8Array, Tensor

if TYPE_CHECKING:
    from torch import nn

_ACTIVATION_TYPES: dict[int, DType] = {8: "int8", 16: "int16"}


def quantize_input(graph: Graph, x: Array) -> Int8Array:
    """The graph's int8 input (N, H, W, C) for the float samples x (N, C, H, W)."""
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

    `layers` are the weighted layers of the original network, to which the bit widths of `spec`
    refer (`compress.quantization.scheme`); if empty, those of `module`. `learned` step sizes
    replace calibrated ones where they fit. `seed` is AdaRound's. `spec.equalize` has no effect
    here: it changes the float network (`compress.quantization.equalize`), before training.

    Raises UnsupportedLayer for a layer without an integer kernel, and Infeasible for bit widths
    that are not allowed and for a network whose values are not finite.
    """
    traced = trace_module(module, x.shape[1:])
    captured, source, output = capture(traced)
    scheme, fused = Scheme(spec, layers or weighted_layer_names(captured)), fuse(captured, output)
    histograms = calibrate(traced, calibrated_values(fused, source), x, spec)
    grids = Grids(fused, source, scheme, histograms, learned or Learned())
    weights = rounded_to_nearest(grids)
    if spec.correct_bias or spec.rounding == "adaround":
        weights = refined_weights(grids, weights, x, seed)
    builder = _Builder(grids, weights)
    _, channels, height, width = x.shape
    first = builder.activation(source, (1, height, width, channels))
    for layer in fused:
        builder.add(layer)
    last = builder.converted(output, 8)
    return Graph(name, tuple(builder.tensors), tuple(builder.ops), (first,), (last,))


def rounded_to_nearest(grids: Grids) -> dict[str, LayerWeights]:
    """Integer weights of every weighted layer, by the name of its output value."""
    spec, weights = grids.scheme.spec, {}
    for layer in grids.layers:
        if layer.kind in WEIGHTED:
            bits = grids.scheme.of(layer.name)
            scale = grids.of(layer.inputs[0], bits.activations).scale
            peaks = grids.learned.peaks.get(layer.name)
            weights[layer.output] = quantized_weights(
                layer,
                bits=bits.weights,
                granularity=spec.granularity,
                weight_range=spec.weight_range,
                input_scale=scale,
                peaks=peaks,
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
        """Add a tensor for `value`, in its own bits or in `bits`, and return its index."""
        grid = self.grids.of(value, bits)
        dtype = _ACTIVATION_TYPES[grid.bits]
        name = value if bits is None else f"{value}.{dtype}"
        index = self._tensor(Tensor(name, shape, dtype, (grid.scale,), grid.zero_point))
        self.index[value, grid.bits] = index
        return index

    def converted(self, value: str, bits: int) -> int:
        """The index of the tensor of `value` in `bits`; adds a Requantize if there is none yet."""
        if (value, bits) not in self.index:
            own = self.index[value, self.grids.bits[value]]
            index = self.activation(value, self.tensors[own].shape, bits)
            self.ops.append(Requantize(self.tensors[index].name, own, index))
        return self.index[value, bits]

    def add(self, layer: Layer) -> None:
        """Add the layer's operator, its constants and output, and conversions of its inputs."""
        bits = self.grids.bits[layer.output]
        inputs = [self.converted(value, bits) for value in layer.inputs]
        if layer.kind == "average_pool" and self.grids.root(layer.output) == layer.output:
            self._add_mean(layer, inputs[0])
            return
        weights = self.weights.get(layer.output)
        constants = () if weights is None else self._constants(layer, weights, inputs[0])
        output = self.activation(layer.output, layer.shape)
        self.ops.append(_op(layer, inputs, constants, output))

    def _add_mean(self, layer: Layer, source: int) -> None:
        """Add a pool whose output has another scale than its input, unlike AVERAGE_POOL_2D's.

        Over the whole map it is a MEAN, else a depthwise convolution with equal weights.
        """
        if over_whole_map(layer, self.tensors[source].shape):
            output = self.activation(layer.output, layer.shape)
            self.ops.append(Mean(layer.name, source, output, (1, 2)))
            return
        weights, bias = self._constants(layer, averaging_weights(layer), source)
        output = self.activation(layer.output, layer.shape)
        self.ops.append(
            DepthwiseConv2D(layer.name, source, weights, bias, output, stride=layer.stride)
        )

    def _constants(self, layer: Layer, weights: LayerWeights, source: int) -> tuple[int, int]:
        """Add the tensors of the weights and the bias, and return their indices."""
        scales, axis, values = weights.scales, weights.axis, weights.values
        bias, bias_scales = integer_bias(weights, self.tensors[source].scale)
        weight_tensor = Tensor(
            f"{layer.name}.weight",
            values.shape,
            weights.dtype,
            tuple(map(float, scales)),
            axis=axis,
            data=values,
        )
        bias_tensor = Tensor(
            f"{layer.name}.bias",
            bias.shape,
            "int32",
            tuple(map(float, bias_scales)),
            axis=None if axis is None else 0,
            data=bias,
        )
        return self._tensor(weight_tensor), self._tensor(bias_tensor)

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
            raise UnsupportedLayer(f"{name}: {layer.kind} could not be fused into another layer")
