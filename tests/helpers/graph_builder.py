"""A builder of valid integer graphs.

Every graph keeps to what TFLite and CMSIS-NN define: accumulators and shifted products stay inside
int32, average pooling keeps its scale, windows never lie wholly in the padding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from compress.ops import (
    Activation,
    Add,
    AveragePool2D,
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
from compress.types import Array, DType, Graph, Int8Array, Tensor, Variable
from helpers.map_operators import MapOperators, reduced_shape
from helpers.movement_builder import MovementBuilder

# TFLite casts 6 / scale to int32 for ReLU6: scales below 3e-9 have no defined clamp.
SMALLEST_SCALE = 1e-8
NONE, RELU, RELU6 = Activation.NONE, Activation.RELU, Activation.RELU6
RELU_N1_TO_1 = Activation.RELU_N1_TO_1


def float32(value: float) -> float:
    """`value` rounded to single precision, in which scales are stored."""
    return float(np.float32(value))


def output_size(size: int, window: int, stride: int, dilation: int, before: int, after: int) -> int:
    """Output extent of a convolution or pool; below 1 if the window does not fit."""
    return (size + before + after - (window - 1) * dilation - 1) // stride + 1


def same_padding(size: int, window: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """TFLite's SAME padding: (before, after)."""
    extent = (window - 1) * dilation + 1
    total = max(0, (-(-size // stride) - 1) * stride + extent - size)
    return total // 2, total - total // 2


def random_inputs(graph: Graph, samples: int, seed: int = 0) -> Int8Array:
    """Uniform random inputs: int8 (samples, *input shape without batch)."""
    rng = np.random.default_rng(seed)
    shape = (samples, *graph.input_tensor.shape[1:])
    return rng.integers(-128, 128, shape, dtype=np.int8)


@dataclass
class GraphBuilder(MovementBuilder, MapOperators):
    """A graph under construction; each method appends an operator and returns its output's index.

    Output scales are chosen from the accumulators' standard deviation, so that outputs neither
    vanish nor saturate; `gain` widens (> 1) or narrows them.
    """

    seed: int = 0
    tensors: list[Tensor] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    variables: list[Variable] = field(default_factory=list)

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
        groups: int = 1,
    ) -> int:
        x = self.tensors[source]
        taps = (*kernel, x.shape[3] // groups)
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
        by_row: bool = False,
    ) -> int:
        """With `by_row` each row of the input's last axis is an input of its own."""
        x, axis = self.tensors[source], 0 if per_channel else None
        depth, shape = (x.shape[-1], x.shape[:-1]) if by_row else (x.elements, (1,))
        weights, bias, scale = self._constants(
            x, (units, depth), units, axis, weight_scale, weight_bits
        )
        shape = (*shape, units)
        out = self._activation(self._name("dense"), shape, scale * gain, zero_point, x.dtype)
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
        reverse: bool = False,
    ) -> int:
        a, b = self.tensors[left], self.tensors[right]
        scale = math.hypot(a.scale, b.scale) * gain
        out = self._activation(self._name("add"), a.shape, scale, zero_point, a.dtype)
        name, constant = self.tensors[out].name, b.data is not None
        self.ops.append(Add(name, left, right, out, activation, subtract, constant, reverse))
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
        steps = 10000 if a.dtype == "int16" else 40
        scale = a.scale * b.scale * steps * gain
        out = self._activation(self._name("mul"), a.shape, scale, zero_point, a.dtype)
        name, constant = self.tensors[out].name, b.data is not None
        self.ops.append(Mul(name, left, right, out, activation, constant))
        return out

    def constant(
        self,
        shape: tuple[int, ...],
        scale: float = 0.05,
        zero_point: int = 0,
        dtype: DType = "int8",
    ) -> int:
        """A constant operand."""
        reach = 2**15 if dtype == "int16" else 2**7
        values: Array = self.rng.integers(-reach, reach, shape).astype(dtype)
        name = f"{self._name('constant')}_{len(self.tensors)}"
        return self._tensor(Tensor(name, shape, dtype, (float32(scale),), zero_point, None, values))

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

    def softmax(self, source: int, dtype: DType = "int8") -> int:
        """To int16 from int8 with zero point -32768; from int16 to int16 with zero point 0."""
        x = self.tensors[source]
        grid = (1 / 256, -128) if dtype == "int8" else (1 / 65536, -32768)
        grid = (1 / 32768, 0) if x.dtype == dtype == "int16" else grid
        out = self._tensor(Tensor(self._name("softmax"), x.shape, dtype, grid[:1], grid[1]))
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
        """Requantize to `dtype`; None: to the same type."""
        x = self.tensors[source]
        wanted = x.scale * 0.7 if scale is None else scale
        out = self._activation(
            self._name("requantize"), x.shape, wanted, zero_point, dtype or x.dtype
        )
        self.ops.append(Requantize(self.tensors[out].name, source, out, activation))
        return out

    def widen(self, source: int, places: int = 7) -> int:
        """Requantize int8 to int16 exactly: 2**places steps per step, fewer for a tiny scale."""
        scale = self.tensors[source].scale
        while places and scale / 2**places < SMALLEST_SCALE:
            places -= 1
        return self.requantize(source, scale / 2**places, dtype="int16")

    def narrow(self, source: int, ratio: float = 256.0, zero_point: int = -6) -> int:
        """Requantize int16 to int8; returns an int8 tensor unchanged."""
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
        """A lookup table; TFLite fixes the output scale and zero point of LOGISTIC and TANH."""
        x = self.tensors[source]
        if function is Function.EXP:
            # No value may leave int32 before it is clamped.
            largest = math.exp(min(89.0, x.scale * (127 - x.zero_point)))
            scale = max(scale or x.scale, largest / 2**30)
        if function is Function.RSQRT:
            if x.zero_point != -128:
                source = self.requantize(source, x.scale, -128)
            # Within 2^-11 and 2^29 output steps for the input 1.
            ends = 2.0**-29 / math.sqrt(x.scale), 2.0**11 / math.sqrt(x.scale)
            scale = max(ends[0], min(ends[1], scale or x.scale))
        fixed = {Function.LOGISTIC: (1 / 256, -128), Function.TANH: (1 / 128, 0)}
        if x.dtype == "int16":
            fixed = dict.fromkeys(fixed, (1 / 2**15, 0))
        wanted = fixed.get(function, (x.scale if scale is None else scale, zero_point))
        out = self._activation(self._name(function.value), x.shape, *wanted, x.dtype)
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
        shape = reduced_shape(x.shape, axes, keep)
        out = self._activation(self._name("mean"), shape, scale or x.scale, zero_point, x.dtype)
        self.ops.append(Mean(self.tensors[out].name, source, out, axes))
        return out

    def pad(
        self, source: int, before: tuple[int, ...], after: tuple[int, ...], value: int | None = None
    ) -> int:
        """Pad with `value`; None: with the zero point."""
        x = self.tensors[source]
        shape = tuple(map(sum, zip(before, x.shape, after, strict=True)))
        out = self._activation(self._name("pad"), shape, x.scale, x.zero_point, x.dtype)
        value = x.zero_point if value is None else value
        self.ops.append(Pad(self.tensors[out].name, source, out, before, after, value))
        return out

    def finish(self, output: int, name: str = "example", source: int = 0) -> Graph:
        variables = tuple(self.variables)
        return Graph(name, tuple(self.tensors), tuple(self.ops), (source,), (output,), variables)

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
