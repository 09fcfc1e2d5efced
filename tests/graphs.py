"""Valid integer graphs for tests: a builder, hypothesis strategies and a few fixed examples.

Every graph here keeps to what TFLite and CMSIS-NN define: accumulators and shifted products stay
inside int32, average pooling keeps its scale, windows never lie wholly in the padding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from compress.ops import (
    Activation,
    Add,
    AveragePool2D,
    Concatenate,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Function,
    Lookup,
    MaxPool2D,
    Mean,
    Mul,
    Op,
    Pad,
    Padding,
    Requantize,
    Reshape,
    Softmax,
)
from compress.types import Array, DType, Graph, Int8Array, Tensor

OP_KINDS = (
    "conv",
    "depthwise",
    "fully_connected",
    "add",
    "subtract",
    "mul",
    "average_pool",
    "max_pool",
    "reshape",
    "softmax",
    "requantize",
    "lookup",
    "mean",
    "pad",
    "concatenate",
)
# What takes int16, too; "requantize" there goes from and to any type.
INT16_KINDS = (
    "conv",
    "depthwise",
    "fully_connected",
    "add",
    "subtract",
    "average_pool",
    "max_pool",
    "reshape",
    "requantize",
)
# TFLite casts 6 / scale to int32 for ReLU6: scales below 3e-9 have no defined clamp.
SMALLEST_SCALE = 1e-8
# Products of products of larger ones would leave single precision.
LARGEST_SCALE = 1e15
NONE, RELU, RELU6 = Activation.NONE, Activation.RELU, Activation.RELU6
RELU_N1_TO_1 = Activation.RELU_N1_TO_1


def float32(value: float) -> float:
    """`value` rounded to single precision: scales are stored so."""
    return float(np.float32(value))


def output_size(size: int, window: int, stride: int, dilation: int, before: int, after: int) -> int:
    """Extent of a convolution's or pool's output; below 1 where the window does not fit."""
    return (size + before + after - (window - 1) * dilation - 1) // stride + 1


def same_padding(size: int, window: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """TFLite's SAME padding (before, after)."""
    extent = (window - 1) * dilation + 1
    total = max(0, (-(-size // stride) - 1) * stride + extent - size)
    return total // 2, total - total // 2


def random_inputs(graph: Graph, samples: int, seed: int = 0) -> Int8Array:
    """Uniform int8 inputs (samples, *input shape without batch)."""
    rng = np.random.default_rng(seed)
    shape = (samples, *graph.input_tensor.shape[1:])
    return rng.integers(-128, 128, shape, dtype=np.int8)


@dataclass
class GraphBuilder:
    """Appends operators; each method returns the index of the tensor it made.

    Output scales are chosen from the accumulators' standard deviation, so that outputs neither
    vanish nor saturate; `gain` widens (> 1) or narrows them.
    """

    seed: int = 0
    tensors: list[Tensor] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def input(self, shape: tuple[int, ...], scale: float = 0.05, zero_point: int = -3) -> int:
        return self._activation("input", (1, *shape), scale, zero_point)

    def conv(
        self,
        source: int,
        channels: int,
        kernel: tuple[int, int] = (3, 3),
        stride: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        padding: Padding = Padding(),
        activation: Activation = NONE,
        zero_point: int = 4,
        gain: float = 1.0,
        weight_scale: float = 0.01,
        per_channel: bool = True,
        weight_bits: int = 8,
    ) -> int:
        x = self.tensors[source]
        taps = (*kernel, x.shape[3])
        weights, bias, scale = self._constants(
            x, (channels, *taps), channels, 0 if per_channel else None, weight_scale, weight_bits
        )
        shape = self._window_shape(x.shape, channels, kernel, stride, dilation, padding)
        out = self._activation(self._name("conv"), shape, scale * gain, zero_point, x.dtype)
        self.ops.append(
            Conv2D(
                self.tensors[out].name,
                source,
                weights,
                bias,
                out,
                stride,
                dilation,
                padding,
                activation,
            )
        )
        return out

    def depthwise(
        self,
        source: int,
        multiplier: int = 1,
        kernel: tuple[int, int] = (3, 3),
        stride: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        padding: Padding = Padding(),
        activation: Activation = NONE,
        zero_point: int = -7,
        gain: float = 1.0,
        weight_scale: float = 0.02,
        per_channel: bool = True,
        weight_bits: int = 8,
    ) -> int:
        x = self.tensors[source]
        channels = x.shape[3] * multiplier
        weights, bias, scale = self._constants(
            x,
            (1, *kernel, channels),
            channels,
            3 if per_channel else None,
            weight_scale,
            weight_bits,
        )
        shape = self._window_shape(x.shape, channels, kernel, stride, dilation, padding)
        out = self._activation(self._name("depthwise"), shape, scale * gain, zero_point, x.dtype)
        self.ops.append(
            DepthwiseConv2D(
                self.tensors[out].name,
                source,
                weights,
                bias,
                out,
                stride,
                dilation,
                padding,
                activation,
            )
        )
        return out

    def fully_connected(
        self,
        source: int,
        units: int,
        activation: Activation = NONE,
        zero_point: int = 9,
        gain: float = 1.0,
        weight_scale: float = 0.015,
        per_channel: bool = False,
        weight_bits: int = 8,
    ) -> int:
        x, axis = self.tensors[source], 0 if per_channel else None
        weights, bias, scale = self._constants(
            x, (units, x.elements), units, axis, weight_scale, weight_bits
        )
        out = self._activation(self._name("dense"), (1, units), scale * gain, zero_point, x.dtype)
        self.ops.append(
            FullyConnected(self.tensors[out].name, source, weights, bias, out, activation)
        )
        return out

    def add(
        self,
        left: int,
        right: int,
        activation: Activation = NONE,
        zero_point: int = 1,
        gain: float = 1.0,
        subtract: bool = False,
    ) -> int:
        a, b = self.tensors[left], self.tensors[right]
        scale = math.hypot(a.scale, b.scale) * gain
        out = self._activation(self._name("add"), a.shape, scale, zero_point, a.dtype)
        name, constant = self.tensors[out].name, b.data is not None
        self.ops.append(Add(name, left, right, out, activation, subtract, constant))
        return out

    def mul(
        self,
        left: int,
        right: int,
        activation: Activation = NONE,
        zero_point: int = 1,
        gain: float = 1.0,
    ) -> int:
        a, b = self.tensors[left], self.tensors[right]
        out = self._activation(
            self._name("mul"), a.shape, a.scale * b.scale * 40 * gain, zero_point
        )
        name, constant = self.tensors[out].name, b.data is not None
        self.ops.append(Mul(name, left, right, out, activation, constant))
        return out

    def constant(self, shape: tuple[int, ...], scale: float = 0.05, zero_point: int = 0) -> int:
        """A constant operand of `add` or `mul`."""
        values: Array = self.rng.integers(-128, 128, shape, dtype=np.int8)
        name = self._name("constant")
        return self._tensor(
            Tensor(name, shape, "int8", (float32(scale),), zero_point, None, values)
        )

    def average_pool(
        self,
        source: int,
        window: tuple[int, int],
        stride: tuple[int, int] | None = None,
        padding: Padding = Padding(),
        activation: Activation = NONE,
    ) -> int:
        out = self._pool_output("average_pool", source, window, stride or window, padding)
        name, stride = self.tensors[out].name, stride or window
        self.ops.append(AveragePool2D(name, source, out, window, stride, padding, activation))
        return out

    def max_pool(
        self,
        source: int,
        window: tuple[int, int],
        stride: tuple[int, int] | None = None,
        padding: Padding = Padding(),
        activation: Activation = NONE,
    ) -> int:
        out = self._pool_output("max_pool", source, window, stride or window, padding)
        name, stride = self.tensors[out].name, stride or window
        self.ops.append(MaxPool2D(name, source, out, window, stride, padding, activation))
        return out

    def reshape(self, source: int, shape: tuple[int, ...]) -> int:
        x = self.tensors[source]
        out = self._activation(self._name("reshape"), (1, *shape), x.scale, x.zero_point, x.dtype)
        self.ops.append(Reshape(self.tensors[out].name, source, out))
        return out

    def softmax(self, source: int) -> int:
        shape = self.tensors[source].shape
        out = self._activation(self._name("softmax"), shape, 1 / 256, -128)
        self.ops.append(Softmax(self.tensors[out].name, source, out))
        return out

    def requantize(
        self,
        source: int,
        scale: float | None = None,
        zero_point: int = 2,
        activation: Activation = NONE,
        dtype: DType | None = None,
    ) -> int:
        """To the same type where `dtype` is None."""
        x = self.tensors[source]
        wanted = x.scale * 0.7 if scale is None else scale
        out = self._activation(
            self._name("requantize"), x.shape, wanted, zero_point, dtype or x.dtype
        )
        self.ops.append(Requantize(self.tensors[out].name, source, out, activation))
        return out

    def widen(self, source: int, places: int = 7) -> int:
        """From int8 to int16 without loss: 2**places steps for one, fewer for a tiny scale."""
        scale = self.tensors[source].scale
        while places and scale / 2**places < SMALLEST_SCALE:
            places -= 1
        return self.requantize(source, scale / 2**places, dtype="int16")

    def narrow(self, source: int, ratio: float = 256.0, zero_point: int = -6) -> int:
        """From int16 to int8; an int8 tensor stays as it is."""
        x = self.tensors[source]
        if x.dtype == "int8":
            return source
        return self.requantize(source, x.scale * ratio, zero_point, dtype="int8")

    def lookup(
        self,
        source: int,
        function: Function,
        scale: float | None = None,
        zero_point: int = 5,
        alpha: float = 0.0,
    ) -> int:
        """LOGISTIC and TANH have the one output scale and zero point that TFLite takes."""
        x = self.tensors[source]
        fixed = {Function.LOGISTIC: (1 / 256, -128), Function.TANH: (1 / 128, 0)}
        wanted = fixed.get(function, (x.scale if scale is None else scale, zero_point))
        out = self._activation(self._name(function.value), x.shape, *wanted)
        alpha = float32(alpha) if function is Function.LEAKY_RELU else 0.0
        self.ops.append(Lookup(self.tensors[out].name, source, out, function, alpha))
        return out

    def mean(
        self,
        source: int,
        axes: tuple[int, ...] = (1, 2),
        keep: bool = False,
        scale: float | None = None,
        zero_point: int = 3,
    ) -> int:
        x = self.tensors[source]
        extents = enumerate(x.shape)
        shape = tuple(1 if axis in axes else n for axis, n in extents if keep or axis not in axes)
        out = self._activation(self._name("mean"), shape, scale or x.scale, zero_point)
        self.ops.append(Mean(self.tensors[out].name, source, out, axes))
        return out

    def pad(
        self, source: int, before: tuple[int, ...], after: tuple[int, ...], value: int | None = None
    ) -> int:
        """`value` None is the zero point."""
        x = self.tensors[source]
        shape = tuple(map(sum, zip(before, x.shape, after, strict=True)))
        out = self._activation(self._name("pad"), shape, x.scale, x.zero_point, x.dtype)
        value = x.zero_point if value is None else value
        self.ops.append(Pad(self.tensors[out].name, source, out, before, after, value))
        return out

    def concatenate(self, sources: tuple[int, ...], axis: int = 3) -> int:
        parts = [self.tensors[source] for source in sources]
        x, extent = parts[0], sum(part.shape[axis] for part in parts)
        shape = (*x.shape[:axis], extent, *x.shape[axis + 1 :])
        out = self._activation(self._name("concatenate"), shape, x.scale, x.zero_point)
        self.ops.append(Concatenate(self.tensors[out].name, sources, out, axis))
        return out

    def finish(self, output: int, name: str = "example", source: int = 0) -> Graph:
        return Graph(name, tuple(self.tensors), tuple(self.ops), source, output)

    def _name(self, kind: str) -> str:
        return f"{kind}_{len(self.ops)}"

    def _tensor(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _activation(
        self,
        name: str,
        shape: tuple[int, ...],
        scale: float,
        zero_point: int,
        dtype: DType = "int8",
    ) -> int:
        scale = max(scale, SMALLEST_SCALE)
        zero_point = 0 if dtype == "int16" else zero_point
        return self._tensor(Tensor(name, shape, dtype, (float32(scale),), zero_point))

    def _pool_output(
        self,
        kind: str,
        source: int,
        window: tuple[int, int],
        stride: tuple[int, int],
        padding: Padding,
    ) -> int:
        x = self.tensors[source]
        shape = self._window_shape(x.shape, x.shape[3], window, stride, (1, 1), padding)
        return self._activation(self._name(kind), shape, x.scale, x.zero_point, x.dtype)

    @staticmethod
    def _window_shape(
        shape: tuple[int, ...],
        channels: int,
        window: tuple[int, int],
        stride: tuple[int, int],
        dilation: tuple[int, int],
        padding: Padding,
    ) -> tuple[int, ...]:
        vertical = (window[0], stride[0], dilation[0], padding.top, padding.bottom)
        horizontal = (window[1], stride[1], dilation[1], padding.left, padding.right)
        height, width = output_size(shape[1], *vertical), output_size(shape[2], *horizontal)
        if height < 1 or width < 1:
            raise ValueError(f"window {window} does not fit {shape} with {padding}")
        return (1, height, width, channels)

    def _constants(
        self,
        x: Tensor,
        shape: tuple[int, ...],
        channels: int,
        axis: int | None,
        weight_scale: float,
        weight_bits: int,
    ) -> tuple[int, int, float]:
        """Weights, bias and an output scale that spreads the accumulators over the output's type.

        Weights of 4 and 2 bits are int4, their real values as spread as those of 8 bits.
        """
        highest = 2 ** (weight_bits - 1) - 1
        coarse = 127 / highest
        spread = self.rng.uniform(0.5, 2.0, 1 if axis is None else channels) * weight_scale
        scales = tuple(float32(s * coarse) for s in spread)
        lowest = -highest if weight_bits == 8 else -highest - 1
        values: Array = self.rng.integers(lowest, highest + 1, shape, dtype=np.int8)
        taps = math.prod(shape) // channels
        steps = 256 if x.dtype == "int16" else 1
        limit = int(40 * math.isqrt(taps * 5000) / coarse) * steps
        biases: Array = self.rng.integers(-limit, limit + 1, channels, dtype=np.int32)
        bias_scales = tuple(float(np.float32(x.scale) * np.float32(s)) for s in scales)
        name = self._name("weights")
        dtype: DType = "int8" if weight_bits == 8 else "int4"
        weights = self._tensor(Tensor(name, shape, dtype, scales, 0, axis, values))
        bias_axis = None if axis is None else 0
        bias = Tensor(self._name("bias"), (channels,), "int32", bias_scales, 0, bias_axis, biases)
        size = max(scales) / coarse * math.sqrt(taps) * 100
        return weights, self._tensor(bias), x.scale * size


# Fixed examples ------------------------------------------------------------------------------


def tiny_conv() -> Graph:
    """3x3 convolution with asymmetric padding and stride 2, then a classifier."""
    b = GraphBuilder(seed=1)
    x = b.conv(b.input((9, 7, 3)), 8, stride=(2, 2), padding=Padding(0, 1, 1, 0), activation=RELU)
    x = b.max_pool(x, (2, 2))
    return b.finish(b.fully_connected(x, 5), "tiny_conv")


def ds_cnn(channels: int = 64, blocks: int = 4) -> Graph:
    """The shape of MLPerf Tiny's keyword spotter: 49x10x1, depthwise-separable, 12 classes."""
    b = GraphBuilder(seed=2)
    top, bottom = same_padding(49, 10, 2)
    left, right = same_padding(10, 4, 2)
    x = b.input((49, 10, 1), 0.58, 83)
    x = b.conv(
        x, channels, (10, 4), (2, 2), padding=Padding(top, bottom, left, right), activation=RELU
    )
    for _ in range(blocks):
        x = b.depthwise(x, padding=Padding(1, 1, 1, 1), activation=RELU, zero_point=-128)
        x = b.conv(x, channels, (1, 1), activation=RELU, zero_point=-128)
    x = b.average_pool(x, (25, 5))
    x = b.reshape(x, (channels,))
    return b.finish(b.softmax(b.fully_connected(x, 12, gain=0.5)), "ds_cnn")


def residual() -> Graph:
    """A residual block with a projection, pooling and a classifier, as in ResNet."""
    b = GraphBuilder(seed=3)
    x = b.conv(b.input((8, 8, 3)), 8, padding=Padding(1, 1, 1, 1), activation=RELU)
    y = b.conv(x, 12, stride=(2, 2), padding=Padding(1, 1, 1, 1), activation=RELU)
    y = b.conv(y, 12, padding=Padding(1, 1, 1, 1))
    shortcut = b.conv(x, 12, (1, 1), (2, 2))
    x = b.add(y, shortcut, activation=RELU)
    x = b.average_pool(x, (4, 4))
    x = b.fully_connected(b.reshape(x, (12,)), 10)
    return b.finish(b.softmax(x), "residual")


def every_op() -> Graph:
    """A graph in which each operator of the union occurs."""
    b = GraphBuilder(seed=4)
    x = b.conv(b.input((12, 10, 2)), 6, (3, 5), padding=Padding(1, 1, 2, 2), activation=RELU6)
    x = b.depthwise(x, 2, padding=Padding(0, 1, 1, 0), stride=(2, 2), activation=RELU)
    x = b.max_pool(x, (3, 3), (1, 1), Padding(1, 1, 1, 1))
    x = b.add(x, b.requantize(x, zero_point=-20), activation=RELU, zero_point=-90, gain=0.4)
    y = b.mul(x, b.constant((12,), 0.01), gain=2.0)
    y = b.lookup(y, Function.LEAKY_RELU, b.tensors[x].scale, b.tensors[x].zero_point, 0.3)
    x = b.concatenate((x, b.pad(y, (0, 0, 0, 0), (0, 0, 0, 1))))
    x = b.average_pool(x, (2, 2))
    x = b.mean(b.requantize(x, zero_point=-128, activation=RELU), (2,))
    elements = b.tensors[x].elements
    x = b.fully_connected(b.reshape(x, (elements,)), 7)
    return b.finish(b.softmax(x), "every_op")


def squeeze_excite() -> Graph:
    """A gated block as in MobileNetV3, with constants, a difference and scales per unit."""
    b = GraphBuilder(seed=6)
    x = b.conv(b.input((7, 6, 3), 0.02), 10, stride=(2, 2), weight_scale=0.005)
    x = b.lookup(x, Function.HARD_SWISH)
    gate = b.fully_connected(b.mean(x), 8, per_channel=True, gain=0.3, weight_scale=0.01)
    gate = b.fully_connected(gate, 10, gain=0.5, weight_scale=0.003)
    gate = b.add(gate, b.constant((), 0.02, -3), RELU6, zero_point=-100)
    gate = b.mul(b.reshape(gate, (1, 1, 10)), b.constant((1,), 0.01, -100))
    y = b.mul(x, gate, gain=2.0)
    x = b.add(x, y, subtract=True)
    x = b.lookup(x, Function.LEAKY_RELU, zero_point=-30, alpha=0.1)
    x = b.lookup(b.mean(x, (3,)), Function.TANH)
    return b.finish(b.fully_connected(x, 5), "squeeze_excite")


def mixed() -> Graph:
    """int4 and int8 weights, int8 and int16 activations: every operator that takes int16."""
    b = GraphBuilder(seed=7)
    x = b.conv(b.input((9, 8, 3)), 6, padding=Padding(1, 1, 1, 1), activation=RELU, weight_bits=4)
    y = x = b.widen(x)
    y = b.depthwise(y, padding=Padding(1, 1, 1, 1), activation=RELU6, weight_bits=2)
    y = b.conv(y, 6, (3, 3), padding=Padding(2, 0, 1, 1), activation=RELU_N1_TO_1)
    x = b.add(x, y, activation=RELU)
    x = b.max_pool(x, (3, 3), (2, 2), Padding(1, 1, 1, 1))
    x = b.average_pool(b.requantize(x, activation=RELU), (2, 2))
    x = b.reshape(x, (b.tensors[x].elements,))
    x = b.fully_connected(x, 10, per_channel=True, weight_bits=4)
    x = b.fully_connected(b.requantize(x, activation=RELU6), 7, weight_bits=4)
    return b.finish(b.softmax(b.fully_connected(b.narrow(x), 5, weight_bits=4)), "mixed")


EXAMPLES = (tiny_conv, residual, every_op, squeeze_excite, mixed)


# Hypothesis strategies -----------------------------------------------------------------------

activations = st.sampled_from(list(Activation))
zero_points = st.sampled_from([-128, 127, 0]) | st.integers(-128, 127)
scales = st.sampled_from([1e-6, 1 / 255, 1.0, 500.0]) | st.floats(1e-5, 10.0)
gains = st.sampled_from([0.1, 1.0, 30.0])
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
weight_schemes = st.fixed_dictionaries(
    {"per_channel": st.booleans(), "weight_bits": st.sampled_from([8, 4, 2])}
)
dilations = st.tuples(st.integers(1, 2), st.integers(1, 2))


@st.composite
def paddings(draw: st.DrawFn, window: tuple[int, int], dilation: tuple[int, int]) -> Padding:
    """Any padding, symmetric or not, that leaves no window wholly outside the input."""
    vertical = st.integers(0, (window[0] - 1) * dilation[0])
    horizontal = st.integers(0, (window[1] - 1) * dilation[1])
    return Padding(draw(vertical), draw(vertical), draw(horizontal), draw(horizontal))


@st.composite
def window_parameters(
    draw: st.DrawFn, shape: tuple[int, ...], dilated: bool
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], Padding]:
    """(window, stride, dilation, padding) that fit `shape` (1, H, W, C): SAME, VALID or any."""
    height, width = shape[1:3]
    window = draw(st.tuples(st.integers(1, min(4, height)), st.integers(1, min(4, width))))
    dilation = draw(dilations) if dilated else (1, 1)
    dilation = (
        dilation[0] if (window[0] - 1) * dilation[0] < height else 1,
        dilation[1] if (window[1] - 1) * dilation[1] < width else 1,
    )
    stride = draw(pairs)
    top, bottom = same_padding(height, window[0], stride[0], dilation[0])
    left, right = same_padding(width, window[1], stride[1], dilation[1])
    same = Padding(top, bottom, left, right)
    padding = draw(st.just(same) | st.just(Padding()) | paddings(window, dilation))
    return window, stride, dilation, padding


@st.composite
def builders(draw: st.DrawFn) -> GraphBuilder:
    """A builder with a small input tensor (index 0) of any scale and zero point."""
    b = GraphBuilder(seed=draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 9)))
    b.input(shape, draw(scales), draw(zero_points))
    return b


def draw_right_operand(draw: st.DrawFn, b: GraphBuilder, source: int) -> int:
    """Of the shape of `source`, or repeating over it; computed from it or a constant."""
    x = b.tensors[source]
    scale, zero_point = x.scale * draw(st.floats(0.01, 100)), draw(zero_points)
    shapes = [x.shape, x.shape[-1:], (1, 1, 1, x.shape[-1]), (1, 1, *x.shape[2:]), (), (1,)]
    if x.dtype == "int16":
        return b.requantize(source, scale)
    match draw(st.sampled_from(["equal", "channel", "constant"])):
        case "equal":
            return b.requantize(source, scale, zero_point)
        case "channel":
            return b.mean(source, (1, 2), draw(st.booleans()), scale, zero_point)
        case _:
            return b.constant(draw(st.sampled_from(shapes)), scale, zero_point)


def draw_concatenation(draw: st.DrawFn, b: GraphBuilder, source: int) -> int:
    """`source` and one to three paddings of it, or itself again, along any axis."""
    axis = draw(st.integers(1, 3))
    sources = [source]
    for extent in draw(st.lists(st.integers(0, 5), min_size=1, max_size=3)):
        sides = tuple(extent if i == axis else 0 for i in range(4))
        sources.append(b.pad(source, (0, 0, 0, 0), sides, 7) if extent else source)
    return b.concatenate(tuple(draw(st.permutations(sources))), axis)


def append_op(draw: st.DrawFn, b: GraphBuilder, source: int, kind: str) -> int:
    """Draw one operator of `kind` reading `source` (1, H, W, C) and append it."""
    x = b.tensors[source]
    common: dict[str, Any] = {
        "activation": draw(activations),
        "zero_point": draw(zero_points),
        "gain": draw(gains),
    }
    match kind:
        case "conv":
            window, stride, dilation, padding = draw(window_parameters(x.shape, dilated=True))
            channels, scheme = draw(st.integers(1, 9)), draw(weight_schemes)
            return b.conv(
                source,
                channels,
                window,
                stride,
                dilation,
                padding,
                **scheme,
                **common,
            )
        case "depthwise":
            window, stride, dilation, padding = draw(window_parameters(x.shape, dilated=True))
            multiplier, scheme = draw(st.integers(1, 3)), draw(weight_schemes)
            return b.depthwise(
                source,
                multiplier,
                window,
                stride,
                dilation,
                padding,
                **scheme,
                **common,
            )
        case "fully_connected":
            units, scheme = draw(st.integers(1, 9)), draw(weight_schemes)
            return b.fully_connected(source, units, **scheme, **common)
        case "add" | "subtract" | "mul":
            right = draw_right_operand(draw, b, source)
            left = source
            if kind == "mul":
                if b.tensors[left].scale * b.tensors[right].scale > LARGEST_SCALE:
                    return b.requantize(source)
                return b.mul(left, right, **common)
            if b.tensors[left].shape == b.tensors[right].shape and b.tensors[right].data is None:
                left, right = draw(st.permutations([left, right]))
            return b.add(left, right, subtract=kind == "subtract", **common)
        case "average_pool" | "max_pool":
            window, stride, _, padding = draw(window_parameters(x.shape, dilated=False))
            activation = common["activation"]
            if kind == "max_pool":
                return b.max_pool(source, window, stride, padding, activation)
            top, bottom = same_padding(x.shape[1], window[0], stride[0])
            left, right = same_padding(x.shape[2], window[1], stride[1])
            same = Padding(top, bottom, left, right)
            padding = draw(st.sampled_from([Padding(), same]))
            return b.average_pool(source, window, stride, padding, activation)
        case "reshape":
            return b.reshape(source, tuple(draw(st.permutations(x.shape[1:]))))
        case "softmax":
            return _some_softmax(b, source)
        case "requantize":
            scale = x.scale * draw(st.sampled_from([0.5, 1.0, 2.0]) | st.floats(0.01, 100))
            activation = common["activation"]
            if x.dtype == "int16" and activation is RELU_N1_TO_1:
                activation = RELU
            return b.requantize(source, scale, common["zero_point"], activation)
        case "lookup":
            function = draw(st.sampled_from(Function))
            scale = x.scale * draw(st.sampled_from([0.1, 0.5, 1.0]) | st.floats(0.02, 50))
            if function is Function.HARD_SWISH:
                # TFLite takes no output scale below a 128th of the input's.
                assume(1e-3 < x.scale < 100 and scale > x.scale / 100)
            alpha = draw(st.sampled_from([0.0, 0.1, 0.2, 1.0]) | st.floats(0, 2))
            return b.lookup(source, function, scale, common["zero_point"], alpha)
        case "mean":
            axes = draw(st.sampled_from([(1, 2), (1,), (2,), (3,), (2, 3), (1, 2, 3)]))
            scale = x.scale * draw(st.sampled_from([1.0, 0.5]) | st.floats(0.01, 100))
            zero_point = draw(st.just(x.zero_point) | zero_points)
            return b.mean(source, axes, draw(st.booleans()), scale, zero_point)
        case "pad":
            sides = st.tuples(st.just(0), *[st.integers(0, 3)] * 3)
            value = draw(st.none() | st.integers(-128, 127))
            return b.pad(source, draw(sides), draw(sides), value)
        case "concatenate":
            return draw_concatenation(draw, b, source)
        case _:
            raise ValueError(kind)


@st.composite
def single_op_graphs(draw: st.DrawFn, kind: str | None = None) -> Graph:
    """One operator of `kind` (any of OP_KINDS where None) on a random input.

    An operator of several operands comes with those that give it the others.
    """
    b = draw(builders())
    chosen = draw(st.sampled_from(OP_KINDS)) if kind is None else kind
    return b.finish(append_op(draw, b, 0, chosen), chosen)


@st.composite
def single_int16_op_graphs(draw: st.DrawFn, kind: str) -> Graph:
    """One operator of `kind` (of INT16_KINDS) on int16 values of any size."""
    b = draw(builders())
    # Widened values are multiples; a convolution makes any of them.
    x = b.conv(b.widen(0, draw(st.integers(0, 7))), draw(st.integers(1, 9)), (1, 1))
    return b.finish(draw_narrowing(draw, b, append_op(draw, b, x, kind)), f"{kind}_int16")


def draw_narrowing(draw: st.DrawFn, b: GraphBuilder, source: int) -> int:
    """`source` as int8."""
    ratio = draw(st.sampled_from([256.0, 255.5, 1.0]) | st.floats(0.01, 1000))
    return b.narrow(source, ratio, draw(zero_points))


def _some_softmax(b: GraphBuilder, source: int) -> int:
    """TFLite has no multiplier for inputs of a scale of 2**-26 or less."""
    if b.tensors[source].scale <= 2**-26:
        source = b.requantize(source, 2**-20)
    return b.softmax(source)


@st.composite
def chain_graphs(draw: st.DrawFn) -> Graph:
    """Two to five spatial operators, sometimes with a residual Add, sometimes a classifier.

    Some are on int16, with conversions between them where needed and where not.
    """
    b = draw(builders())
    classifiers = ("fully_connected", "reshape", "softmax", "mean")
    spatial = [kind for kind in OP_KINDS if kind not in classifiers]
    wide = draw(st.lists(st.booleans(), min_size=6, max_size=6))
    x = 0

    def converted(x: int, kind: str) -> int:
        if wide.pop() and kind in INT16_KINDS:
            return x if b.tensors[x].dtype == "int16" else b.widen(x, draw(st.integers(5, 7)))
        return draw_narrowing(draw, b, x)

    for kind in draw(st.lists(st.sampled_from(spatial), min_size=2, max_size=5)):
        before = converted(x, kind)
        x = append_op(draw, b, before, kind)
        if b.tensors[before].shape == b.tensors[x].shape and draw(st.booleans()):
            x = b.add(before, x, draw(activations), draw(zero_points))
    if draw(st.booleans()):
        x = b.reshape(x, (b.tensors[x].elements,))
        x = converted(x, "fully_connected")
        x = b.fully_connected(x, draw(st.integers(1, 9)), draw(activations))
        x = draw_narrowing(draw, b, x)
        x = _some_softmax(b, x) if draw(st.booleans()) else x
    return b.finish(draw_narrowing(draw, b, x), "chain")


def graphs() -> st.SearchStrategy[Graph]:
    """Any graph: one operator or a chain."""
    return single_op_graphs() | chain_graphs()
