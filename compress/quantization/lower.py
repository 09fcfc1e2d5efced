"""Lowering of a float network to the integer `Graph`.

Quantization scheme: the TensorFlow Lite int8 specification and its 16x8 variant.

- Weights: symmetric, one scale per output channel or per tensor (Linear: always per tensor, as
  FULLY_CONNECTED in the specification).
- Activations: one scale per tensor, range always including zero; int8 asymmetric or symmetric, or
  int16 symmetric. The graph's input and output are int8.
- Bias: int32 with scale = input scale * weight scale.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from compress.frontend.capture import capture, trace_module
from compress.frontend.check_capture import check_capture
from compress.frontend.fuse import fuse
from compress.frontend.layers import Layer, Pointwise
from compress.frontend.layout import layer_shape
from compress.frontend.pointwise import tabulated
from compress.genome import Quantize
from compress.inputs import parts_of, shape_of_samples, shapes_of
from compress.integer.rows import pack_rows, unpack_rows
from compress.ops import DepthwiseConv2D, Mean, Op, Requantize, Reshape, Transpose
from compress.quantization.calibrate import calibrate
from compress.quantization.grids import (
    WEIGHTED,
    Grids,
    calibrated_values,
    call_names,
    over_whole_map,
    weighted_layer_names,
)
from compress.quantization.lowered_operator import operator_for
from compress.quantization.recurrent_weights import (
    InnerPeaks,
    inner_peaks,
    recurrent_constants,
)
from compress.quantization.refine import refined_weights
from compress.quantization.scheme import Grid, Learned, Scheme
from compress.quantization.weight_grids import (
    LayerWeights,
    averaging_weights,
    constant_grid,
    integer_bias,
    quantized_weights,
)
from compress.tracing.normalize import normalized
from compress.types import Array, DType, Graph, Int8Array, IntArray, Tensor

if TYPE_CHECKING:
    from torch import nn

_ACTIVATION_TYPES: dict[int, DType] = {8: "int8", 16: "int16"}


def quantize_input(graph: Graph, x: Array) -> Int8Array:
    """The graph's int8 input (N, *input shape without batch) for float samples in torch's layout.

    (N, C, H, W) becomes (N, H, W, C), a series (N, C, L) becomes (N, 1, L, C). Those of several
    inputs (`compress.inputs`) become rows of the bytes of all, int8 (N, bytes).
    """
    values = [
        _quantized(tensor, part)
        for tensor, part in zip(graph.input_tensors, parts_of(x), strict=True)
    ]
    return values[0] if len(values) == 1 else pack_rows(values)


def _quantized(tensor: Tensor, x: Array) -> Int8Array:
    moved = np.moveaxis(x, 1, -1).reshape(len(x), *tensor.shape[1:])
    scaled = np.round(moved / np.float32(tensor.scale)) + tensor.zero_point
    result: Int8Array = np.clip(scaled, -128, 127).astype(np.int8)
    return result


def dequantize_output(graph: Graph, outputs: Int8Array) -> Array:
    """The graph's only output int8 (N, ...) as real values float32 in torch's layout.

    (N, H, W, C) becomes (N, C, H, W), a vector (N, K) stays as it is. A series (N, C, L) of torch
    is (N, 1, L, C) here and becomes (N, C, 1, L): the caller knows its shape.
    """
    return _real(graph.output_tensor, outputs)


def dequantize_outputs(graph: Graph, outputs: Int8Array) -> tuple[Array, ...]:
    """Each of the graph's outputs as `dequantize_output`; `outputs` are as `reference.run`'s."""
    parts = unpack_rows(graph.output_tensors, outputs)
    return tuple(map(_real, graph.output_tensors, parts))


def _real(tensor: Tensor, integers: IntArray) -> Array:
    values = integers.reshape(len(integers), *tensor.shape[1:]).astype(np.int32) - tensor.zero_point
    real: Array = np.moveaxis(values * np.float32(tensor.scale), -1, 1).astype(np.float32)
    return real


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

    Raises UnsupportedLayer for a layer without an integer kernel, and where the captured layers
    compute something else than `module` (`compress.frontend.check_capture`). Raises Infeasible for
    bit widths that are not allowed and for a network whose values are not finite.
    """
    plain = normalized(module)
    shape = shape_of_samples(x)
    traced = trace_module(plain, shape)
    captured, sources, outputs = capture(traced)
    scheme = Scheme(spec, layers or weighted_layer_names(captured))
    fused = fuse(captured, outputs)
    histograms = calibrate(traced, calibrated_values(fused, sources), x, spec)
    check_capture(module, plain, x)
    grids = Grids(fused, sources, scheme, histograms, learned or Learned(), outputs)
    weights = rounded_to_nearest(grids)
    if spec.correct_bias or spec.rounding == "adaround":
        weights = refined_weights(grids, weights, x, seed)
    builder = _Builder(grids, weights, inner_peaks(traced, x))
    inputs = tuple(
        builder.activation(source, layer_shape((1, *extents)))
        for source, extents in zip(sources, shapes_of(shape), strict=True)
    )
    for layer in fused:
        builder.add(layer)
    last = tuple(builder.converted(output, grids.of(output, 8)) for output in outputs)
    return Graph(name, tuple(builder.tensors), tuple(builder.ops), inputs, last)


def rounded_to_nearest(grids: Grids) -> dict[str, LayerWeights]:
    """Integer weights of every weighted layer, by the name of its output value."""
    spec, weights = grids.scheme.spec, {}
    calls = call_names(grids.layers)
    for layer in grids.layers:
        if layer.kind not in (*WEIGHTED, "affine"):
            continue
        scale = grids.read_by(layer, layer.inputs[0]).scale
        if layer.kind == "affine":
            # One scale per channel and 8 bits represent each factor exactly, up to float32.
            pixelwise = replace(layer, kind="depthwise", weight=_pixelwise(layer.weight))
            weights[layer.output] = quantized_weights(pixelwise, 8, "channel", "max", scale)
        else:
            weights[layer.output] = quantized_weights(
                layer,
                bits=grids.scheme.of(layer.name).weights,
                granularity=spec.granularity,
                weight_range=spec.weight_range,
                input_scale=scale,
                peaks=grids.learned.peaks.get(calls[layer.output]),
            )
    return weights


class _Builder:
    """Collects tensors and operators of a `Graph` while walking fused layers."""

    def __init__(
        self, grids: Grids, weights: dict[str, LayerWeights], peaks: dict[str, InnerPeaks]
    ) -> None:
        self.grids = grids
        self.weights = weights
        self.peaks = peaks
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []
        self.index: dict[tuple[str, Grid], int] = {}

    def activation(self, value: str, shape: tuple[int, ...], grid: Grid | None = None) -> int:
        """Add a tensor for `value`, on its own grid or on `grid`, and return its index."""
        own = self.grids.of(value)
        grid = grid or own
        dtype, name = _ACTIVATION_TYPES[grid.bits], value
        if grid != own:
            others = sum(known == value and g.bits == own.bits for known, g in self.index)
            name += f".{dtype}" if grid.bits != own.bits else f".rescaled{others}"
        index = self._tensor(Tensor(name, shape, dtype, (grid.scale,), grid.zero_point))
        self.index[value, grid] = index
        return index

    def converted(self, value: str, grid: Grid) -> int:
        """The index of the tensor of `value` on `grid`; adds a Requantize if there is none yet."""
        if (value, grid) not in self.index:
            own = self.index[value, self.grids.of(value)]
            index = self.activation(value, self.tensors[own].shape, grid)
            self.ops.append(Requantize(self.tensors[index].name, own, index))
        return self.index[value, grid]

    def add(self, layer: Layer) -> None:
        """Add the layer's operator, its constants and output, and conversions of its inputs."""
        inputs = [self.converted(value, self.grids.read_by(layer, value)) for value in layer.inputs]
        if layer.kind == "average_pool" and self.grids.root(layer.output) == layer.output:
            self._add_mean(layer, inputs[0])
            return
        if layer.kind == "affine" and len(layer.shape) == 2:
            self._add_affine_of_vector(layer, inputs[0])
            return
        if layer.kind == "transpose":
            self._add_transposition(layer, inputs[0])
            return
        if layer.kind == "recurrent":
            self._add_recurrence(layer, inputs[0])
            return
        constants = self._constants(layer, self.weights.get(layer.output), inputs[0])
        output = self.activation(layer.output, layer.shape)
        self.ops.append(operator_for(layer, inputs, constants, self.tensors[output], output))

    def _add_recurrence(self, layer: Layer, source: int) -> None:
        """Add a GRU or LSTM, with the constants of its gates."""
        made = recurrent_constants(
            layer,
            self.tensors[source],
            self.peaks[layer.name],
            self.grids.scheme.spec.weight_range,
        )
        constants = (
            *made.input_weights,
            *made.recurrent_weights,
            *made.input_biases,
            *made.recurrent_biases,
        )
        indices = [self._tensor(tensor) for tensor in constants]
        output = self.activation(layer.output, layer.shape)
        if len(layer.shape) == 2 or layer.shape[2] == self.tensors[source].shape[2]:
            self.ops.append(made.operator(layer, source, output, indices))
            return
        last = self._seen(output, f"{layer.output}.last", (1, layer.shape[-1]))
        self.ops += [
            made.operator(layer, source, last, indices),
            Reshape(f"{layer.name}.last", last, output),
        ]

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

    def _add_affine_of_vector(self, layer: Layer, source: int) -> None:
        """Scale and shift of (1, K) as those of a map (1, 1, 1, K), with reshapes around."""
        shape = (1, 1, *layer.shape)
        constants = self._constants(layer, self.weights[layer.output], source)
        output = self.activation(layer.output, layer.shape)
        ends = [
            self._tensor(replace(self.tensors[i], name=f"{layer.output}.{end}", shape=shape))
            for i, end in ((source, "in"), (output, "out"))
        ]
        self.ops += [
            Reshape(f"{layer.name}.in", source, ends[0]),
            operator_for(layer, [ends[0]], constants, self.tensors[ends[1]], ends[1]),
            Reshape(f"{layer.name}.out", ends[1], output),
        ]

    def _add_transposition(self, layer: Layer, source: int) -> None:
        """Exchange axes of the value as its `Movement` sees it, with reshapes around."""
        if layer.movement is None:
            raise TypeError(f"{layer.name}: a transposition has a movement")
        output = self.activation(layer.output, layer.shape)
        permutation = (0, *(axis + 1 for axis in layer.movement.axes))
        seen = (1, *layer.movement.extents)
        moved = tuple(seen[axis] for axis in permutation)
        first, last = source, output
        if self.tensors[source].shape != seen:
            first = self._seen(source, f"{layer.output}.seen", seen)
            self.ops.append(Reshape(f"{layer.name}.seen", source, first))
        if self.tensors[output].shape != moved:
            last = self._seen(output, f"{layer.output}.moved", moved)
        self.ops.append(Transpose(layer.name, first, last, permutation))
        if last != output:
            self.ops.append(Reshape(f"{layer.name}.shaped", last, output))

    def _seen(self, index: int, name: str, shape: tuple[int, ...]) -> int:
        """An activation like tensor `index` with another shape."""
        return self._tensor(replace(self.tensors[index], name=name, shape=shape))

    def _constants(
        self, layer: Layer, weights: LayerWeights | None, source: int
    ) -> tuple[int, ...]:
        """Add the constant tensors of a layer that reads tensor `source`; their indices."""
        if layer.pointwise is not None:
            return (self._table(layer, layer.pointwise, source),)
        if layer.kind in ("minimum", "maximum") and layer.weight is not None:
            return (self._on_grid(layer, self.grids.of(layer.output), layer.weight),)
        if weights is None:
            return () if layer.weight is None else (self._operand(layer.name, layer.weight),)
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

    def _table(self, layer: Layer, function: Pointwise, source: int) -> int:
        """Add a function's values for each int8 of `source`, on the output's grid."""
        x = self.tensors[source]
        real = np.float64(x.scale) * (np.arange(-128, 128) - x.zero_point)
        return self._on_grid(layer, self.grids.of(layer.output), tabulated(function, real))

    def _on_grid(self, layer: Layer, grid: Grid, values: Array) -> int:
        """Add a constant on an int8 grid."""
        integers = np.clip(np.round(values / grid.scale) + grid.zero_point, -128, 127)
        name, data = f"{layer.name}.constant", integers.astype(np.int8)
        return self._tensor(
            Tensor(name, data.shape, "int8", (grid.scale,), grid.zero_point, data=data)
        )

    def _operand(self, name: str, values: Array) -> int:
        """Add the constant operand of a sum or product, on a symmetric grid of its range."""
        grid = constant_grid(values)
        integers = np.round(values / np.float32(grid.scale)).astype(np.int8)
        return self._tensor(
            Tensor(f"{name}.constant", values.shape, "int8", (grid.scale,), data=integers)
        )

    def _tensor(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1


def _pixelwise(factors: Array | None) -> Array:
    """Factors (channels,) as the weight of a depthwise convolution of one pixel."""
    if factors is None:
        raise TypeError("an affine layer has factors")
    return factors.reshape(1, 1, 1, -1)
