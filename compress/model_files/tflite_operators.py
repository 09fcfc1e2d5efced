"""The operators of float .tflite files that become torch layers.

Semantics: tensorflow/lite/kernels (each file's Prepare and the reference kernels).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from compress.errors import UnsupportedLayer, UserError
from compress.model_files import pointwise, rearranging, weighted, windows
from compress.model_files.network_builder import NetworkBuilder
from compress.model_files.recurrent import recurrent
from compress.model_files.tflite_nodes import FloatOperator
from compress.model_files.values import Constant, Value
from compress.model_files.weighted import Window
from compress.tflite_records.file import BuiltinOperator as Builtin
from compress.types import Array

ReadOperator = Callable[[NetworkBuilder, FloatOperator], Sequence[Value]]
_MIRRORED = {0: "reflect", 1: "symmetric"}  # MirrorPadMode
_LSTM_LACKING = (
    ("peepholes", (9, 10, 11)),
    ("projection", (16, 17)),
    ("layer norm", (20, 21, 22, 23)),
)


def _conv(b: NetworkBuilder, node: FloatOperator) -> list[Value]:
    """CONV_2D with weights (Cout, kh, kw, Cin / groups)."""
    weight, bias = node.constant(1, "weights"), node.optional(2, "bias")
    channels = b.node_shape(b.native(node.x))[1]
    groups = channels // max(1, weight.shape[-1])
    return [_convolved(b, node, weight.transpose(0, 3, 1, 2), bias, groups)]


def _depthwise(b: NetworkBuilder, node: FloatOperator) -> list[Value]:
    """DEPTHWISE_CONV_2D with weights (1, kh, kw, Cout)."""
    weight, bias = node.constant(1, "weights"), node.optional(2, "bias")
    channels = b.node_shape(b.native(node.x))[1]
    return [_convolved(b, node, weight.transpose(3, 0, 1, 2), bias, channels)]


def _convolved(
    b: NetworkBuilder, node: FloatOperator, weight: Array, bias: Array | None, groups: int
) -> Value:  # fmt: skip
    stride, dilation = node.pair("Stride{}"), node.pair("Dilation{}Factor")
    extents = b.node_shape(b.native(node.x))[2:]
    pads = node.pads(extents, weight.shape[2:], stride, dilation)
    window = Window(stride, dilation, pads, groups)
    return node.activated(b, weighted.convolution_layer(b, node.x, weight, bias, window))


def _transposed(b: NetworkBuilder, node: FloatOperator) -> list[Value]:
    """TRANSPOSE_CONV of the inputs shape, weights (Cout, kh, kw, Cin), x and perhaps a bias.

    SAME cuts the whole result to the given shape on both sides, the odd element behind.
    """
    weight, bias = node.constant(1, "weights"), node.optional(3, "bias")
    x, stride = node.needed(2), node.pair("Stride{}")
    extents, wanted = b.node_shape(b.native(x))[2:], node.shapes[0][1:3]
    pads, extra = [], []
    for extent, after, taps, step in zip(extents, wanted, weight.shape[1:3], stride, strict=True):
        total = (extent - 1) * step + taps - after
        pads.append((max(0, total) // 2, max(0, total) - max(0, total) // 2))
        extra.append(max(0, -total))
    window = Window(stride, (1, 1), tuple(pads))
    made = weighted.transposed_convolution(
        b, x, weight.transpose(3, 0, 1, 2), bias, window, tuple(extra)
    )
    return [node.activated(b, made)]


def _fully_connected(b: NetworkBuilder, node: FloatOperator) -> list[Value]:
    """FULLY_CONNECTED with weights (outputs, inputs), on rows of as many inputs."""
    weight, bias = node.constant(1, "weights"), node.optional(2, "bias")
    if node.option("WeightsFormat"):
        raise UnsupportedLayer(f"{node.label}: shuffled weights; convert again without them")
    x = rearranging.activation(b, node.x)
    inputs, shape = weight.shape[1], b.shape(x)
    if shape[-1] != inputs:
        if math.prod(shape) != inputs * b.batch:
            raise UnsupportedLayer(f"{node.label}: reads {shape} as rows of {inputs}")
        x = rearranging.reshaped(b, x, (b.batch, inputs))
    made = weighted.linear_layer(b, x, weight, bias)
    if len(b.shape(made)) != len(node.shapes[0]):
        made = rearranging.reshaped(b, made, node.shapes[0])
    return [node.activated(b, made)]


def _batch_matmul(b: NetworkBuilder, node: FloatOperator) -> list[Value]:
    x, y = rearranging.activation(b, node.x), node.needed(1)
    if node.option("AdjX") or (node.option("AdjY") and isinstance(y, Value)):
        raise UnsupportedLayer(f"{node.label}: with adjoint operands; use a transpose before it")
    if isinstance(y, Value):
        return [pointwise.product_of_matrices(b, x, y)]
    rows = y.data.shape[-2:]
    if len(rows) != 2 or y.data.size != math.prod(rows):
        raise UnsupportedLayer(f"{node.label}: a constant of shape {y.data.shape}")
    weight = y.data.reshape(rows)
    return [weighted.linear_layer(b, x, weight if node.option("AdjY") else weight.T, None)]


def _pool(kind: str) -> ReadOperator:
    def read(b: NetworkBuilder, node: FloatOperator) -> list[Value]:
        stride = node.pair("Stride{}")
        window = int(node.option("FilterHeight")), int(node.option("FilterWidth"))
        extents = b.node_shape(b.native(node.x))[2:]
        pads = node.pads(extents, window, stride, (1, 1))
        outputs = tuple(node.shapes[0][1:3])
        return [node.activated(b, windows.pool(b, kind, node.x, window, stride, pads, outputs))]

    return read


def _binary(kind: str) -> ReadOperator:
    def read(b: NetworkBuilder, node: FloatOperator) -> list[Value]:
        limit = node.needed(1)
        if kind in ("Max", "Min") and isinstance(limit, Constant) and limit.data.size == 1:
            number = float(limit.data.ravel()[0])
            ends = (number, None) if kind == "Max" else (None, number)
            return [pointwise.clipped(b, node.x, *ends)]
        return [node.activated(b, pointwise.binary(b, kind, node.x, limit))]

    return read


def _squared_difference(b: NetworkBuilder, node: FloatOperator) -> list[Value]:
    difference = pointwise.binary(b, "Sub", node.x, node.needed(1))
    return [pointwise.binary(b, "Mul", difference, difference)]


def _reduced(kind: str) -> ReadOperator:
    def read(b: NetworkBuilder, node: FloatOperator) -> list[Value]:
        axes = tuple(node.integers(1, "axes"))
        return [windows.reduced(b, node.x, kind, axes, bool(node.option("KeepDims")))]

    return read


def _reshape(b: NetworkBuilder, node: FloatOperator) -> list[Value]:
    """RESHAPE, SQUEEZE and EXPAND_DIMS: the file's shape of the result says it all."""
    return [rearranging.reshaped(b, node.x, node.shapes[0])]


def _transpose(b: NetworkBuilder, node: FloatOperator) -> list[Value]:
    value, order = rearranging.activation(b, node.x), node.integers(1, "permutation")
    if sorted(order) != list(range(value.rank)):
        raise UserError(f"{node.label}: damaged: permutation {order}")
    return [value.transposed(tuple(order))]


def _concatenation(b: NetworkBuilder, node: FloatOperator) -> list[Value]:
    values = [node.needed(position) for position in range(len(node.inputs))]
    made = rearranging.concatenated(b, values, int(node.option("Axis")))
    return [node.activated(b, made)]


def _pad(b: NetworkBuilder, node: FloatOperator) -> list[Value]:
    value, widths = rearranging.activation(b, node.x), node.integers(1, "paddings")
    pads = tuple(zip(widths[::2], widths[1::2], strict=True))
    fill = node.optional(2, "value") if node.code == Builtin.PADV2 else None
    mode = "constant"
    if node.code == Builtin.MIRROR_PAD:
        mode = _MIRRORED.get(int(node.option("Mode")), "")
        if mode != "reflect":
            raise UnsupportedLayer(f"{node.label}: mode {mode}; allowed is reflect")
    number = 0.0 if fill is None else float(fill.ravel()[0])
    return [windows.padding_around(b, value, pads, mode, number)]


def _softmax(b: NetworkBuilder, node: FloatOperator) -> list[Value]:
    if node.code == Builtin.SOFTMAX and node.option("Beta") != 1.0:
        raise UnsupportedLayer(f"{node.label}: beta {node.option('Beta'):g}; allowed is 1")
    kind = nn.Softmax if node.code == Builtin.SOFTMAX else nn.LogSoftmax
    return [pointwise.softmax_along(b, node.x, -1, kind)]


def _clip(low: float, high: float | None) -> ReadOperator:
    return lambda b, node: [pointwise.clipped(b, node.x, low, high)]


def _module(made: Callable[[FloatOperator], nn.Module]) -> ReadOperator:
    return lambda b, node: [pointwise.applied(b, node.x, made(node))]


def _function(function: Callable[..., torch.Tensor]) -> ReadOperator:
    return lambda b, node: [pointwise.called(b, node.x, function)]


def _prelu(b: NetworkBuilder, node: FloatOperator) -> list[Value]:
    return [pointwise.prelu(b, node.x, Constant(node.constant(1, "slope")))]


def _resize(mode: str) -> ReadOperator:
    def read(b: NetworkBuilder, node: FloatOperator) -> list[Value]:
        value = rearranging.activation(b, node.x)
        before, after = b.shape(value)[1:3], tuple(node.integers(1, "size"))
        aligned, halves = bool(node.option("AlignCorners")), bool(node.option("HalfPixelCenters"))
        whole = all(n % m == 0 for m, n in zip(before, after, strict=True))
        fits = (aligned != halves) if mode == "linear" else not aligned and (not halves or whole)
        if not fits:
            raise UnsupportedLayer(
                f"{node.label}: rounds coordinates as torch does not; set half_pixel_centers"
            )
        return [rearranging.resized(b, value, after, mode, aligned)]

    return read


def _slice(b: NetworkBuilder, node: FloatOperator) -> list[Value]:
    begins, sizes = node.integers(1, "begins"), node.integers(2, "sizes")
    items = [
        slice(begin, None if size < 0 else begin + size)
        for begin, size in zip(begins, sizes, strict=True)
    ]
    return [rearranging.slice_of(b, node.x, items)]


def _strided_slice(b: NetworkBuilder, node: FloatOperator) -> list[Value]:
    if node.option("EllipsisMask") or node.option("NewAxisMask") or node.option("Offset"):
        raise UnsupportedLayer(f"{node.label}: a slice with an ellipsis, new axes or offsets")
    begins, ends, steps = (node.integers(i, "bounds") for i in (1, 2, 3))
    masks = [int(node.option(f"{name}Mask")) for name in ("Begin", "End", "ShrinkAxis")]
    items: list[slice | int] = []
    for axis, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True)):
        no_begin, no_end, drops = (bool(mask >> axis & 1) for mask in masks)
        if drops:
            items.append(begin)
        else:
            items.append(slice(None if no_begin else begin, None if no_end else end, step))
    return [rearranging.slice_of(b, node.x, items)]


def _split(b: NetworkBuilder, node: FloatOperator) -> list[Value]:
    """SPLIT of (axis, x), SPLIT_V of (x, sizes, axis): the parts' shapes are the file's."""
    equal = node.code == Builtin.SPLIT
    x, axis = node.needed(1 if equal else 0), node.integers(0 if equal else 2, "axis")[0]
    return rearranging.split(b, x, [shape[axis] for shape in node.shapes], axis)


def _gather(b: NetworkBuilder, node: FloatOperator) -> list[Value]:
    if node.option("BatchDims"):
        raise UnsupportedLayer(f"{node.label}: batch dimensions")
    axis = int(node.option("Axis"))
    return [rearranging.taken(b, node.x, node.constant(1, "indices"), axis)]


def _lstm(b: NetworkBuilder, node: FloatOperator) -> list[Value]:
    """UNIDIRECTIONAL_SEQUENCE_LSTM: weights of i, f, c, o, each (H, inputs); the state is zero."""
    lacking = [what for what, places in _LSTM_LACKING if any(map(node.has, places))]
    if lacking or node.option("CellClip") or not node.has(1):
        raise UnsupportedLayer(
            f"{node.label}: with {lacking[0] if lacking else 'clip or coupled gates'}; allowed is "
            "what torch.nn.LSTM computes"
        )
    value = rearranging.activation(b, node.x)
    turned = value if node.option("TimeMajor") else value.transposed((1, 0, 2))
    i, f, c, o = (np.float32(node.constant(place, "weights")) for place in range(1, 5))
    r = [np.float32(node.constant(place, "weights")) for place in range(5, 9)]
    biases = [np.float32(node.constant(place, "bias")) for place in range(12, 16)]
    ordered = [np.concatenate((p[0], p[3], p[1], p[2]))[np.newaxis] for p in ((i, f, c, o), r)]
    bias = np.concatenate((biases[0], biases[3], biases[1], biases[2]))
    both = np.concatenate((bias, np.zeros_like(bias)))[np.newaxis]
    sequence, _ = recurrent(b, "LSTM", turned, ordered[0], ordered[1], both)
    made = rearranging.squeezed(b, sequence, (1,))
    return [made if node.option("TimeMajor") else made.transposed((1, 0, 2))]


TFLITE_OPERATORS: Mapping[int, ReadOperator] = {
    Builtin.ABS: _function(torch.abs),
    Builtin.ADD: _binary("Add"),
    Builtin.AVERAGE_POOL_2D: _pool("average"),
    Builtin.BATCH_MATMUL: _batch_matmul,
    Builtin.CONCATENATION: _concatenation,
    Builtin.CONV_2D: _conv,
    Builtin.COS: _function(torch.cos),
    Builtin.DEPTHWISE_CONV_2D: _depthwise,
    Builtin.DIV: _binary("Div"),
    Builtin.ELU: _module(lambda node: nn.ELU()),
    Builtin.EXP: _function(torch.exp),
    Builtin.EXPAND_DIMS: _reshape,
    Builtin.FULLY_CONNECTED: _fully_connected,
    Builtin.GATHER: _gather,
    Builtin.GELU: _module(lambda node: nn.GELU("tanh" if node.option("Approximate") else "none")),
    Builtin.HARD_SWISH: _module(lambda node: nn.Hardswish()),
    Builtin.LEAKY_RELU: _module(lambda node: nn.LeakyReLU(float(node.option("Alpha")))),
    Builtin.LOG: _function(torch.log),
    Builtin.LOGISTIC: _module(lambda node: nn.Sigmoid()),
    Builtin.LOG_SOFTMAX: _softmax,
    Builtin.MAXIMUM: _binary("Max"),
    Builtin.MAX_POOL_2D: _pool("max"),
    Builtin.MEAN: _reduced("mean"),
    Builtin.MINIMUM: _binary("Min"),
    Builtin.MIRROR_PAD: _pad,
    Builtin.MUL: _binary("Mul"),
    Builtin.NEG: _function(torch.neg),
    Builtin.PAD: _pad,
    Builtin.PADV2: _pad,
    Builtin.POW: _binary("Pow"),
    Builtin.PRELU: _prelu,
    Builtin.REDUCE_MAX: _reduced("max"),
    Builtin.REDUCE_MIN: _reduced("min"),
    Builtin.RELU: _clip(0.0, None),
    Builtin.RELU6: _clip(0.0, 6.0),
    Builtin.RELU_0_TO_1: _clip(0.0, 1.0),
    Builtin.RELU_N1_TO_1: _clip(-1.0, 1.0),
    Builtin.RESHAPE: _reshape,
    Builtin.RESIZE_BILINEAR: _resize("linear"),
    Builtin.RESIZE_NEAREST_NEIGHBOR: _resize("nearest"),
    Builtin.RSQRT: _function(torch.rsqrt),
    Builtin.SIN: _function(torch.sin),
    Builtin.SLICE: _slice,
    Builtin.SOFTMAX: _softmax,
    Builtin.SPLIT: _split,
    Builtin.SPLIT_V: _split,
    Builtin.SQRT: _function(torch.sqrt),
    Builtin.SQUARED_DIFFERENCE: _squared_difference,
    Builtin.SQUEEZE: _reshape,
    Builtin.STRIDED_SLICE: _strided_slice,
    Builtin.SUB: _binary("Sub"),
    Builtin.SUM: _reduced("sum"),
    Builtin.TANH: _module(lambda node: nn.Tanh()),
    Builtin.TRANSPOSE: _transpose,
    Builtin.TRANSPOSE_CONV: _transposed,
    Builtin.UNIDIRECTIONAL_SEQUENCE_LSTM: _lstm,
}
