"""Fixed-point arithmetic of the integer network, as TensorFlow Lite and CMSIS-NN define it.

Everything the integer kernels need besides tensors is derived here once, from scales to plain
ints; `compress.reference` and the code generator both use it, so they cannot disagree. Sources:
tensorflow/lite/kernels/internal/quantization_util.cc (multipliers, input radius),
internal/common.h (double-rounding multiply), kernels/kernel_util.cc (clamps, convolution
scales), kernels/add.cc, kernels/activations.cc and kernels/quantize.cc, all of release 2.14.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compress.errors import UnsupportedLayer
from compress.ops import (
    Activation,
    Add,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Requantize,
    Softmax,
)
from compress.types import Graph, Tensor

Int64Array = npt.NDArray[np.int64]

INT8_MIN, INT8_MAX = -128, 127
ADD_LEFT_SHIFT = 20
SOFTMAX_INTEGER_BITS = 5


@dataclass(frozen=True, slots=True)
class AddParameters:
    """output = clamp(output_offset + M_out((M_1(in1 + off1) + M_2(in2 + off2)))).

    The inputs are shifted left by `left_shift` before M_1 and M_2. `*_shift` > 0 shifts left.
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
    """Lowest and highest quantized value that `tensor` may take under `activation`."""
    lo, hi = INT8_MIN, INT8_MAX
    if activation is not Activation.NONE:
        lo = max(lo, tensor.zero_point)
    if activation is Activation.RELU6:
        six = float(np.float32(6.0) / np.float32(tensor.scale))
        hi = min(hi, tensor.zero_point + math.floor(six + 0.5))
    return lo, hi


def conv_multipliers(
    graph: Graph, op: Conv2D | DepthwiseConv2D | FullyConnected
) -> tuple[tuple[int, int], ...]:
    """(mantissa, shift) of input scale * weight scale / output scale.

    One per output channel for the convolutions (double precision), a single one for
    FullyConnected, whose scales TFLite multiplies in single precision. Raises UnsupportedLayer
    where the ratio has no multiplier.
    """
    weights = graph.tensors[op.weights]
    scale_in, scale_out = graph.tensors[op.input].scale, graph.tensors[op.output].scale
    if isinstance(op, FullyConnected):
        product = float(np.float32(scale_in) * np.float32(weights.scale))
        return (_multiplier(op.name, product / scale_out),)
    channels = graph.tensors[op.output].shape[-1]
    scales = weights.scales if len(weights.scales) == channels else weights.scales * channels
    return tuple(_multiplier(op.name, scale_in * scale / scale_out) for scale in scales)


def add_parameters(graph: Graph, op: Add) -> AddParameters:
    """Parameters of TFLite's int8 ADD. Raises UnsupportedLayer if the output scale is too small."""
    left, right, out = graph.tensors[op.left], graph.tensors[op.right], graph.tensors[op.output]
    twice_max = 2.0 * max(left.scale, right.scale)
    real_output = twice_max / (2**ADD_LEFT_SHIFT * out.scale)
    if real_output >= 1:
        raise UnsupportedLayer(
            f"{op.name}: output scale {out.scale:g} is too small for inputs of {twice_max / 2:g}"
        )
    lo, hi = clamp_range(out, op.activation)
    return AddParameters(
        ADD_LEFT_SHIFT,
        -left.zero_point,
        *_multiplier(op.name, left.scale / twice_max),
        -right.zero_point,
        *_multiplier(op.name, right.scale / twice_max),
        out.zero_point,
        *_multiplier(op.name, real_output),
        lo,
        hi,
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
