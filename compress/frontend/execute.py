"""Execution of float `Layer`s in torch; inputs and outputs are (N, C, H, W) or (N, K).

Bias correction and AdaRound (`compress.quantization.refine`) work layer by layer: they need the
inputs of each layer in two versions, float and quantized. `compress.frontend.check_capture` runs
whole networks, in single and in double precision: a layer computes in the type of its input.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor as Values
from torch.nn import functional

from compress.frontend.layers import Gates, Layer, LayerKind
from compress.frontend.pointwise import apply_pointwise
from compress.ops import Activation, Function
from compress.recurrent_layers.layer import run_recurrent
from compress.tracing.batches import tensors_of
from compress.types import Array

# Axes of a layer's weight in torch's order: (outputs, inputs per group, height, width).
_TO_TORCH: dict[LayerKind, tuple[int, ...]] = {
    "conv": (0, 3, 1, 2),
    "depthwise": (3, 0, 1, 2),
    "transposed": (3, 0, 1, 2),  # torch's own has the inputs first
}


def to_torch(weight: Array, kind: LayerKind) -> Values:
    """A layer's weight with its axes in torch's order."""
    axes = _TO_TORCH.get(kind, (0, 1))
    return torch.from_numpy(np.ascontiguousarray(weight.transpose(axes), np.float32))


def from_torch(weight: Values, kind: LayerKind) -> Array:
    """A weight of torch with its axes in the order of `Layer.weight`; inverse of `to_torch`."""
    axes = np.argsort(_TO_TORCH.get(kind, (0, 1)))
    return np.ascontiguousarray(weight.numpy().transpose(axes))


def run_layers(
    layers: Sequence[Layer], inputs: Mapping[str, Values]
) -> Iterator[tuple[Layer, Values]]:
    """Each layer with its output, in order; `inputs` are values by name (`network_inputs`).

    Layers before and after fusing can be run. A flattened map has the order of the layers, height,
    width, channels, not torch's.
    """
    values = dict(inputs)
    for layer in layers:
        values[layer.output] = run_layer(layer, tuple(values[name] for name in layer.inputs))
        yield layer, values[layer.output]


def run_layer(layer: Layer, inputs: tuple[Values, ...]) -> Values:
    """The output of any layer, with its own constants, after its activation."""
    if layer.kind in ("conv", "depthwise", "transposed", "linear") and layer.weight is not None:
        bias = np.zeros(layer.shape[-1]) if layer.bias is None else layer.bias
        return activated(weighted_sum(layer, inputs[0], layer.weight, bias), layer)
    return unweighted(layer, inputs)


def weighted_sum(layer: Layer, x: Values, weight: Array, bias: Array) -> Values:
    """The output of a layer with weights and these constants, before activation."""
    shift = torch.from_numpy(bias.astype(np.float32)).to(x.dtype)
    if layer.kind == "linear":
        return functional.linear(x, to_torch(weight, "linear").to(x.dtype), shift)
    if layer.kind == "transposed":
        return _transposed(layer, x, to_torch(weight, "transposed").to(x.dtype), shift)
    groups = x.shape[1] if layer.kind == "depthwise" else layer.groups
    return functional.conv2d(
        padded(layer, x),
        to_torch(weight, layer.kind).to(x.dtype),
        shift,
        layer.stride,
        dilation=layer.dilation,
        groups=groups,
    )


def _transposed(layer: Layer, x: Values, weight: Values, shift: Values) -> Values:
    """A transposed convolution: rows and columns are cut off in front, and off or added behind."""
    whole = functional.conv_transpose2d(x, weight, stride=layer.stride)
    rows, columns = layer.shape[1:3]
    top, left = layer.padding.top, layer.padding.left
    more = (0, left + columns - whole.shape[3], 0, top + rows - whole.shape[2])
    return functional.pad(whole, more)[:, :, top:, left:] + shift[:, None, None]


def padded(layer: Layer, x: Values, value: float = 0.0) -> Values:
    """`x` (N, C, H, W) with the explicit padding of `layer`, filled with `value`."""
    p = layer.padding
    return functional.pad(x, (p.left, p.right, p.top, p.bottom), value=value)


def unweighted(layer: Layer, inputs: tuple[Values, ...]) -> Values:
    """The output of any other layer, after its activation."""
    x = inputs[0]
    match layer.kind:
        case "affine" | "batch_norm":
            scale, shift = (_per_channel(values, x) for values in (layer.weight, layer.bias))
            return activated(x * scale + shift, layer)
        case "add" | "mul" | "minimum" | "maximum":
            y = inputs[1] if len(inputs) == 2 else _from_layout(layer.weight)
            if layer.kind == "mul":
                return activated(x * y, layer)
            if layer.kind != "add":
                return torch.minimum(x, y) if layer.kind == "minimum" else torch.maximum(x, y)
            return activated(x - y if layer.subtract else x + y, layer)
        case "activation" | "clip":
            return activated(x, layer)
        case "lookup" if layer.function is not None:
            return _FUNCTIONS[layer.function](x, layer.alpha)
        case "table" if layer.pointwise is not None:
            return apply_pointwise(layer.pointwise, x)
        case "prelu":
            slopes = _per_channel(layer.weight, x)
            return x.clamp(min=0) + slopes * x.clamp(max=0)
        case "concat":
            axis = {3: 1, 1: 2, 2: 3}[layer.axis] if x.dim() == 4 else layer.axis
            return torch.cat(inputs, axis)
        case "pad":
            if layer.before or layer.behind:
                return functional.pad(
                    x, (*[0] * 2 * (x.dim() - 2), layer.before, layer.behind), value=layer.value
                )
            return padded(layer, x, layer.value)
        case "resize_nearest" | "resize_bilinear":
            mode = "bilinear" if layer.kind == "resize_bilinear" else "nearest"
            if mode == "nearest" and layer.centers == "half_pixel":
                mode = "nearest-exact"
            aligned = None if mode != "bilinear" else layer.centers == "aligned"
            return functional.interpolate(x, layer.shape[1:3], mode=mode, align_corners=aligned)
        case "average_pool":
            # The mean is over the elements inside the map only: divide by their share.
            inside = functional.avg_pool2d(
                padded(layer, torch.ones_like(x[:1, :1])), layer.filter, layer.stride
            )
            return functional.avg_pool2d(padded(layer, x), layer.filter, layer.stride) / inside
        case "max_pool":
            lowest = padded(layer, x, -torch.inf)
            return functional.max_pool2d(lowest, layer.filter, layer.stride)
        case "matmul":
            y = in_memory(inputs[1])
            made = in_memory(x) @ (y.transpose(-1, -2) if layer.transposed else y)
            return from_memory(made)
        case "reshape" | "transpose" | "slice" | "gather" | "broadcast" | "mean" | "sum":
            return from_memory(_moved_or_reduced(layer, in_memory(x)))
        case "reduce_max" | "reduce_min":
            return from_memory(_moved_or_reduced(layer, in_memory(x)))
        case "softmax":
            return torch.softmax(x, 1)
        case "recurrent" if layer.gates is not None:
            states = _recurrent(layer.gates, x[:, :, 0].transpose(1, 2))
            if len(layer.shape) == 2:
                return states[:, -1]
            return states[:, -layer.shape[2] :].transpose(1, 2)[:, :, None]
        case _:
            raise TypeError(f"{layer.name}: {layer.kind} has constants or should have been fused")


_FUNCTIONS: dict[Function, Callable[[Values, float], Values]] = {
    Function.LOGISTIC: lambda x, _: torch.sigmoid(x),
    Function.TANH: lambda x, _: torch.tanh(x),
    Function.HARD_SWISH: lambda x, _: functional.hardswish(x),
    Function.LEAKY_RELU: functional.leaky_relu,
}


def _recurrent(gates: Gates, x: Values) -> Values:
    """The states (N, L, U) of a recurrent layer on x (N, L, I)."""
    weights, biases = (
        tuple(
            torch.from_numpy(values.reshape(-1, *values.shape[2:])).to(x.dtype) for values in pair
        )
        for pair in (
            (gates.input_weights, gates.recurrent_weights),
            (gates.input_biases, gates.recurrent_biases),
        )
    )
    return run_recurrent(gates.kind, x, (weights[0], weights[1]), (biases[0], biases[1]))


def network_inputs(sources: Sequence[str], x: Array) -> dict[str, Values]:
    """Samples as layers read them, by the names of the inputs: a series has height 1.

    Those of an input are (N, C, H, W), (N, C, L) or (N, K).
    """
    return {
        source: values[:, :, None] if values.dim() == 3 else values
        for source, values in zip(sources, tensors_of(x), strict=True)
    }


def in_memory(x: Values) -> Values:
    """A value (N, C, H, W) as it lies in memory, (N, H, W, C); one of other ranks as it is."""
    return x.permute(0, 2, 3, 1) if x.dim() == 4 else x


def from_memory(x: Values) -> Values:
    """Inverse of `in_memory`."""
    return x.permute(0, 3, 1, 2) if x.dim() == 4 else x


def _moved_or_reduced(layer: Layer, x: Values) -> Values:
    """The output of a layer that moves elements or reduces axes, on values as in memory."""
    shape = (len(x), *layer.shape[1:])
    match layer.kind:
        case "transpose" if layer.movement is not None:
            seen = x.reshape(len(x), *layer.movement.extents)
            return seen.permute(0, *(axis + 1 for axis in layer.movement.axes)).reshape(shape)
        case "slice":
            ends = zip(layer.begin, layer.step, shape, strict=True)
            for axis, (begin, step, count) in list(enumerate(ends))[1:]:
                places = torch.arange(count) * step + begin
                x = x.index_select(axis, places)
            return x
        case "gather":
            return x.index_select(layer.axis, torch.tensor(layer.indices))
        case "broadcast":
            return x.expand(shape)
        case "mean":
            return x.mean(layer.axes).reshape(shape)
        case "sum":
            return x.sum(layer.axes).reshape(shape)
        case "reduce_max":
            return x.amax(layer.axes).reshape(shape)
        case "reduce_min":
            return x.amin(layer.axes).reshape(shape)
        case _:
            return x.reshape(shape)


def _per_channel(values: Array | None, x: Values) -> Values:
    """Constants (channels,) shaped to broadcast over `x`."""
    if values is None:
        raise TypeError("a layer that scales channels has a factor and a shift for each")
    return torch.from_numpy(values).reshape(1, -1, *[1] * (x.dim() - 2))


def _from_layout(values: Array | None) -> Values:
    """A constant operand (1, H, W, C) or (1, K) with its axes in torch's order."""
    if values is None:
        raise TypeError("an operator of one input has a constant operand")
    constant = torch.from_numpy(values)
    return constant.permute(0, 3, 1, 2) if constant.dim() == 4 else constant


def activated(x: Values, layer: Layer) -> Values:
    """`x` after the layer's activation and limits.

    Raises KeyError for an activation that float layers cannot have.
    """
    low, high = (
        layer.limits
        or {
            Activation.NONE: (-torch.inf, torch.inf),
            Activation.RELU: (0.0, torch.inf),
            Activation.RELU6: (0.0, 6.0),
        }[layer.activation]
    )
    return x if (low, high) == (-torch.inf, torch.inf) else x.clamp(low, high)


def windows(
    layer: Layer, x: Values, count: int, generator: torch.Generator
) -> tuple[Values, Values]:
    """Input windows (im2col rows) of a conv or depthwise layer at `count` positions per sample.

    Returns the rows (N * count, C * taps), channels first, and the random positions (N, count) as
    indices into the output's H' * W' positions.
    """
    height, width = layer.shape[1:3]
    positions = torch.randint(height * width, (len(x), count), generator=generator)
    rows = []
    for sample, chosen in zip(x, positions, strict=True):
        columns = functional.unfold(
            padded(layer, sample[None]), layer.filter, layer.dilation, 0, layer.stride
        )
        rows.append(columns[0, :, chosen].T)
    return torch.cat(rows), positions
