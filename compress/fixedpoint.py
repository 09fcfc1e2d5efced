"""Fixed-point arithmetic of the integer network, as TensorFlow Lite and CMSIS-NN define it.

Everything the integer kernels need besides tensors is derived here once, from scales to plain
ints; `compress.reference` and the code generator both use it, so they cannot disagree. Sources:
tensorflow/lite/kernels/internal/quantization_util.cc (multipliers, input radius),
internal/common.h (double-rounding multiply), kernels/kernel_util.cc (clamps, convolution
scales), kernels/add.cc, sub.cc, mul.cc, reduce.cc, activations.cc and quantize.cc of release 2.14.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import numpy.typing as npt

from compress.errors import UnsupportedLayer
from compress.ops import (
    Activation,
    Add,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Mean,
    Mul,
    Requantize,
    Softmax,
)
from compress.types import Graph, Tensor

Int64Array = npt.NDArray[np.int64]

INT8_MIN, INT8_MAX = -128, 127
ADD_LEFT_SHIFT = 20
# An int8 minus a zero point has 8 bits and a sign, a product of two 16: more shift leaves int32.
_MUL_LARGEST_SHIFT = 15
SOFTMAX_INTEGER_BITS = 5


@dataclass(frozen=True, slots=True)
class AddParameters:
    """output = clamp(output_offset + M_out((M_1(in1 + off1) + M_2(in2 + off2)))).

    The inputs are shifted left by `left_shift` before M_1 and M_2. `*_shift` > 0 shifts left.
    For a difference, M_2 is negative.
    """

    left_shift: int
    input1_offset: int
    input1_multiplier: int
    input1_shift: int
    input2_offset: int
    input2_multiplier: int
    input2_shift: int
    output_offset: int
    output_multiplier: int
    output_shift: int
    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class MulParameters:
    """output = clamp(output_offset + M((in1 + off1) * (in2 + off2))); `shift` > 0 shifts left."""

    input1_offset: int
    input2_offset: int
    multiplier: int
    shift: int
    output_offset: int
    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class MeanParameters:
    """output = clamp(output_offset + M(sum + sum_offset)); M includes 1 / `count`."""

    count: int
    sum_offset: int
    multiplier: int
    shift: int
    output_offset: int


@dataclass(frozen=True, slots=True)
class SoftmaxParameters:
    """Differences to the row's maximum, times multiplier * 2**left_shift, are Q5.26 exponents.

    Differences below `diff_min` contribute nothing and give -128.
    """

    multiplier: int
    left_shift: int
    diff_min: int


@dataclass(frozen=True, slots=True)
class RequantizeParameters:
    """output = clamp(output_offset + M(input + input_offset)); `shift` > 0 shifts left."""

    input_offset: int
    multiplier: int
    shift: int
    output_offset: int
    lo: int
    hi: int


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Mantissa in [2**30, 2**31) and shift with real = mantissa * 2**(shift - 31); (0, 0) for 0.

    Values too small to matter (shift < -31) become (0, 0), as in TFLite's QuantizeMultiplier.
    Raises ValueError unless 0 <= real < 2**31.
    """
    if not 0 <= real < 2**31:
        raise ValueError(f"multiplier {real!r} is not within 0 .. 2**31")
    fraction, shift = math.frexp(real)
    mantissa = math.floor(fraction * 2**31 + 0.5)
    if mantissa == 2**31:
        mantissa, shift = 2**30, shift + 1
    return (0, 0) if shift < -31 or mantissa == 0 else (mantissa, shift)


def multiply_by_quantized_multiplier(
    x: Int64Array, multiplier: int | Int64Array, shift: int | Int64Array
) -> Int64Array:
    """x * multiplier * 2**(shift - 31), rounded twice (gemmlowp; the default of CMSIS-NN).

    x holds int32 values in int64; multiplier and shift broadcast against it. The left shift wraps
    at 32 bits as the kernels' does; the high multiplication rounds ties towards plus infinity,
    the right shift rounds ties away from zero.
    """
    shifts = np.asarray(shift, np.int64)
    left, right = np.maximum(shifts, 0), np.maximum(-shifts, 0)
    if left.any():
        x = (x << left).astype(np.int32).astype(np.int64)
    high: Int64Array = x * np.asarray(multiplier, np.int64)
    high += 1 << 30
    high >>= 31
    if not right.any():
        return high
    # Of a negative tie only the sign bit tells: -1 where the shift is not zero.
    nudge: Int64Array = high >> 63
    if not right.all():
        nudge &= -(right > 0).astype(np.int64)
    high += nudge
    high += (1 << right) >> 1
    high >>= right
    return high


def clamp_range(tensor: Tensor, activation: Activation) -> tuple[int, int]:
    """Lowest and highest quantized value that `tensor` may take under `activation`.

    Raises UnsupportedLayer for a scale so small that TFLite's int32 could not hold the limit.
    """

    def quantized(limit: float) -> int:
        steps = limit / float(np.float32(tensor.scale))
        if not steps < 2**31 - 256:
            raise UnsupportedLayer(f"{tensor.name}: scale {tensor.scale:g} is too small to clamp")
        return math.floor(float(np.float32(steps)) + 0.5)

    match activation:
        case Activation.NONE:
            return INT8_MIN, INT8_MAX
        case Activation.RELU:
            return max(INT8_MIN, tensor.zero_point), INT8_MAX
        case Activation.RELU6:
            highest = tensor.zero_point + quantized(6.0)
            return max(INT8_MIN, tensor.zero_point), min(INT8_MAX, highest)
        case Activation.RELU_N1_TO_1:
            one, zero = quantized(1.0), tensor.zero_point
            return max(INT8_MIN, zero - one), min(INT8_MAX, zero + one)
        case _:
            assert_never(activation)


def conv_multipliers(
    graph: Graph, op: Conv2D | DepthwiseConv2D | FullyConnected
) -> tuple[tuple[int, int], ...]:
    """(mantissa, shift) of input scale * weight scale / output scale.

    One per output channel (double precision), but a single one for a FullyConnected whose
    weights have one scale; TFLite multiplies it in single precision. Raises UnsupportedLayer
    where the ratio has no multiplier.
    """
    weights = graph.tensors[op.weights]
    scale_in, scale_out = graph.tensors[op.input].scale, graph.tensors[op.output].scale
    if isinstance(op, FullyConnected) and len(weights.scales) == 1:
        product = float(np.float32(scale_in) * np.float32(weights.scale))
        return (_multiplier(op.name, product / scale_out),)
    channels = graph.tensors[op.output].shape[-1]
    scales = weights.scales if len(weights.scales) == channels else weights.scales * channels
    return tuple(_multiplier(op.name, scale_in * scale / scale_out) for scale in scales)


def add_parameters(graph: Graph, op: Add) -> AddParameters:
    """Parameters of TFLite's int8 ADD and SUB.

    Raises UnsupportedLayer if the output scale is too small.
    """
    left, right, out = graph.tensors[op.left], graph.tensors[op.right], graph.tensors[op.output]
    twice_max = 2.0 * max(left.scale, right.scale)
    real_output = twice_max / (2**ADD_LEFT_SHIFT * out.scale)
    if real_output >= 1:
        raise UnsupportedLayer(
            f"{op.name}: output scale {out.scale:g} is too small for inputs of {twice_max / 2:g}"
        )
    lo, hi = clamp_range(out, op.activation)
    right_multiplier, right_shift = _multiplier(op.name, right.scale / twice_max)
    return AddParameters(
        ADD_LEFT_SHIFT,
        -left.zero_point,
        *_multiplier(op.name, left.scale / twice_max),
        -right.zero_point,
        -right_multiplier if op.subtract else right_multiplier,
        right_shift,
        out.zero_point,
        *_multiplier(op.name, real_output),
        lo,
        hi,
    )


def mul_parameters(graph: Graph, op: Mul) -> MulParameters:
    """Parameters of TFLite's int8 MUL (scales in single precision).

    Raises UnsupportedLayer where a shifted product would leave int32.
    """
    left, right, out = graph.tensors[op.left], graph.tensors[op.right], graph.tensors[op.output]
    product = np.float32(left.scale) * np.float32(right.scale)
    multiplier, shift = _multiplier(op.name, float(product / np.float32(out.scale)))
    if shift > _MUL_LARGEST_SHIFT:
        raise UnsupportedLayer(f"{op.name}: output scale {out.scale:g} is too small")
    lo, hi = clamp_range(out, op.activation)
    return MulParameters(
        -left.zero_point, -right.zero_point, multiplier, shift, out.zero_point, lo, hi
    )


def mean_parameters(graph: Graph, op: Mean) -> MeanParameters:
    """Parameters of TFLite's int8 MEAN: the ratio of scales, then divided by the count.

    Raises UnsupportedLayer where a sum would leave int32 when it is shifted.
    """
    source, out = graph.tensors[op.input], graph.tensors[op.output]
    count = math.prod(source.shape[axis] for axis in op.axes)
    multiplier, shift = _multiplier(op.name, source.scale / out.scale)
    # As far as the quotient stays below 2**31 and the shift above -32.
    places = min(count.bit_length() - 1, 32, 31 + shift)
    shift -= places
    if count << max(shift, 0) >= 2**23:
        raise UnsupportedLayer(f"{op.name}: a mean over {count} elements may leave int32")
    return MeanParameters(
        count, -source.zero_point * count, (multiplier << places) // count, shift, out.zero_point
    )


def softmax_parameters(graph: Graph, op: Softmax) -> SoftmaxParameters:
    """Parameters of TFLite's int8 SOFTMAX (beta 1). Raises UnsupportedLayer below scale 2**-26."""
    scale = graph.tensors[op.input].scale
    real = min(scale * 2 ** (31 - SOFTMAX_INTEGER_BITS), 2**31 - 1.0)
    if real <= 1:
        raise UnsupportedLayer(f"{op.name}: input scale {scale:g} is not above 2**-26")
    multiplier, shift = _multiplier(op.name, real)
    radius = (2**SOFTMAX_INTEGER_BITS - 1) * 2 ** (31 - SOFTMAX_INTEGER_BITS) >> shift
    return SoftmaxParameters(multiplier, shift, -radius)


def requantize_parameters(graph: Graph, op: Requantize) -> RequantizeParameters:
    """Parameters of TFLite's QUANTIZE (ratio in double precision), RELU and RELU6 (in single)."""
    source, out = graph.tensors[op.input], graph.tensors[op.output]
    if op.activation is Activation.NONE:
        real = source.scale / out.scale
    else:
        real = float(np.float32(source.scale) / np.float32(out.scale))
    lo, hi = clamp_range(out, op.activation)
    multiplier, shift = _multiplier(op.name, real)
    return RequantizeParameters(-source.zero_point, multiplier, shift, out.zero_point, lo, hi)


def _multiplier(name: str, real: float) -> tuple[int, int]:
    try:
        return quantize_multiplier(real)
    except ValueError as error:
        raise UnsupportedLayer(f"{name}: {error}") from None
