"""The integer operator of one fused layer."""

from compress.frontend.layers import Layer
from compress.ops import (
    Add,
    AveragePool2D,
    BatchMatMul,
    Concatenate,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Gather,
    Lookup,
    Maximum,
    MaxPool2D,
    Mean,
    Minimum,
    Mul,
    Op,
    Pad,
    Prelu,
    ReduceMax,
    ReduceMin,
    Requantize,
    Reshape,
    ResizeBilinear,
    ResizeNearest,
    Softmax,
    StridedSlice,
    Sum,
    Table,
    TransposeConv2D,
)
from compress.types import Tensor

_REDUCTIONS: dict[str, type[Mean | Sum | ReduceMax | ReduceMin]] = {
    "mean": Mean,
    "sum": Sum,
    "reduce_max": ReduceMax,
    "reduce_min": ReduceMin,
}


def operator_for(
    layer: Layer, inputs: list[int], constants: tuple[int, ...], made: Tensor, output: int
) -> Op:
    """The operator of a fused layer, whose output is the tensor `made` with index `output`."""
    name, source = layer.name, inputs[0]
    match layer.kind:
        case "conv" | "depthwise" | "affine":
            kind = Conv2D if layer.kind == "conv" else DepthwiseConv2D
            weights, bias = constants
            geometry = (layer.stride, layer.dilation, layer.padding, layer.activation)
            return kind(name, source, weights, bias, output, *geometry)
        case "linear":
            weights, bias = constants
            return FullyConnected(name, source, weights, bias, output, layer.activation)
        case "transposed":
            weights, bias = constants
            crop = (layer.padding.top, layer.padding.left)
            return TransposeConv2D(
                name, source, weights, bias, output, layer.stride, crop, layer.activation
            )
        case "add":
            right, fixed = (*inputs, *constants)[1], bool(constants)
            return Add(name, source, right, output, layer.activation, layer.subtract, fixed)
        case "mul":
            right, fixed = (*inputs, *constants)[1], bool(constants)
            return Mul(name, source, right, output, layer.activation, fixed)
        case "minimum" | "maximum":
            right, fixed = (*inputs, *constants)[1], bool(constants)
            return (Minimum if layer.kind == "minimum" else Maximum)(
                name, source, right, output, fixed
            )
        case "matmul":
            return BatchMatMul(name, source, inputs[1], output, layer.transposed)
        case "table":
            return Table(name, source, constants[0], output)
        case "prelu":
            return Prelu(name, source, constants[0], output)
        case "mean" | "sum" | "reduce_max" | "reduce_min":
            return _REDUCTIONS[layer.kind](name, source, output, layer.axes)
        case "slice":
            return StridedSlice(name, source, output, layer.begin, layer.step)
        case "gather":
            return Gather(name, source, output, layer.axis, layer.indices)
        case "resize_nearest" | "resize_bilinear":
            resize = ResizeNearest if layer.kind == "resize_nearest" else ResizeBilinear
            return resize(
                name, source, output, layer.centers == "aligned", layer.centers == "half_pixel"
            )
        case "average_pool" | "max_pool":
            pool = AveragePool2D if layer.kind == "average_pool" else MaxPool2D
            return pool(name, source, output, layer.filter, layer.stride, layer.padding)
        case "pad":
            p = layer.padding
            before = (0, p.top, p.left, layer.before)
            after = (0, p.bottom, p.right, layer.behind)
            fill = made.zero_point + round(layer.value / made.scale)
            return Pad(name, source, output, before, after, min(max(fill, -128), 127))
        case "concat":
            return Concatenate(name, tuple(inputs), output, layer.axis)
        case "lookup" if layer.function is not None:
            return Lookup(name, source, output, layer.function, layer.alpha)
        case "reshape":
            return Reshape(name, source, output)
        case "softmax":
            return Softmax(name, source, output)
        case "activation" | "clip":
            return Requantize(name, source, output, layer.activation)
        case _:
            raise TypeError(f"{name}: {layer.kind} is not a fused layer")
