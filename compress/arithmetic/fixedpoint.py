"""Fixed-point arithmetic of the integer network, as TensorFlow Lite and CMSIS-NN define it.

The reference and the generated C both take their multipliers from here and from the families in
`compress.operators`, so they cannot disagree. Sources, of TensorFlow Lite release 2.14:
tensorflow/lite/kernels/internal/quantization_util.cc (multipliers), internal/common.cc
(double-rounding multiplication, multiplication of 64 bits) and kernels/kernel_util.cc (clamps,
convolution scales).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import assert_never

import numpy as np
import numpy.typing as npt

from compress.errors import UnsupportedLayer
from compress.ops import Activation, FullyConnected, Weighted
from compress.types import DType, Graph, Tensor

Int64Array = npt.NDArray[np.int64]

INT8_MIN, INT8_MAX = -128, 127
INT4_MIN, INT4_MAX = -8, 7
INT16_MIN, INT16_MAX = -(2**15), 2**15 - 1
REDUCED_LARGEST_SHIFT = 7  # TFLite asserts it for multipliers of 64-bit accumulators


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


def single_precision_ratio(factors: Sequence[float], divisor: float) -> float:
    """The product of the factors over the divisor, every step in float32; may be inf or nan."""
    with np.errstate(all="ignore"):
        product = np.float32(1.0)
        for factor in factors:
            product *= np.float32(factor)
        return float(product / np.float32(divisor))


def scale_ratio(graph: Graph, factors: Sequence[float], divisor: float) -> float:
    """The ratio as TFLite's kernels have it, or in double precision: `Graph.other_precision`."""
    if graph.other_precision:
        return math.prod(factors) / divisor
    return single_precision_ratio(factors, divisor)


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
    # Ties round away from zero: subtract 1 from negative values before adding half and shifting.
    nudge: Int64Array = high >> 63
    if not right.all():
        nudge &= -(right > 0).astype(np.int64)
    high += nudge
    high += (1 << right) >> 1
    high >>= right
    return high


def reduced_multiplier(multiplier: int, shift: int) -> tuple[int, int]:
    """(reduced, right): the 16-bit multiplier of a 64-bit accumulator, and its right shift.

    It replaces `quantize_multiplier`'s (mantissa, shift). 0 <= reduced < 2**15 is the mantissa
    rounded to 15 bits, ties upwards; 8 <= right <= 46. Raises ValueError for a shift above
    REDUCED_LARGEST_SHIFT.
    """
    if shift > REDUCED_LARGEST_SHIFT:
        raise ValueError(f"shift {shift} is above {REDUCED_LARGEST_SHIFT}")
    return min((multiplier + 2**15) >> 16, 2**15 - 1), 15 - shift


def multiply_by_reduced_multiplier(
    x: Int64Array, reduced: int | Int64Array, right: int | Int64Array
) -> Int64Array:
    """(x * reduced + 2**(right - 1)) >> right in 64 bits: rounded once, ties upwards.

    TFLite's MultiplyByQuantizedMultiplier of an int64, for int16 activations. The shift is
    arithmetic; for x of 48 bits, sign included, the sum stays within int64. TFLite then truncates
    the result to int32: `accumulator_offset` refuses operators for which that would change it.
    """
    places = np.asarray(right, np.int64)
    rounded: Int64Array = x * np.asarray(reduced, np.int64) + (np.int64(1) << (places - 1))
    return rounded >> places


def value_range(dtype: DType) -> tuple[int, int]:
    """Lowest and highest value of an activation's type."""
    return (INT16_MIN, INT16_MAX) if dtype == "int16" else (INT8_MIN, INT8_MAX)


def clamp_range(tensor: Tensor, activation: Activation) -> tuple[int, int]:
    """Lowest and highest quantized value that `tensor` may take under `activation`.

    Raises UnsupportedLayer for a scale so small that TFLite's int32 could not hold the limit.
    """

    def quantized(limit: float) -> int:
        steps = limit / float(np.float32(tensor.scale))
        if not steps < 2**31 - 256:
            raise UnsupportedLayer(f"{tensor.name}: scale {tensor.scale:g} is too small to clamp")
        return math.floor(float(np.float32(steps)) + 0.5)

    lowest, highest = value_range(tensor.dtype)
    zero = tensor.zero_point
    match activation:
        case Activation.NONE:
            return lowest, highest
        case Activation.RELU:
            return max(lowest, zero), highest
        case Activation.RELU6:
            return max(lowest, zero), min(highest, zero + quantized(6.0))
        case Activation.RELU_N1_TO_1:
            one = quantized(1.0)
            return max(lowest, zero - one), min(highest, zero + one)
        case _:
            assert_never(activation)


def conv_multipliers(graph: Graph, op: Weighted) -> tuple[tuple[int, int], ...]:
    """(mantissa, shift) of input scale * weight scale / output scale.

    One per output channel, computed in double precision. A FullyConnected whose weights have one
    scale has a single one, and TFLite multiplies the scales of input and weights in single
    precision; it does so for all operators of `Graph.uint8`. Raises UnsupportedLayer where the
    ratio has no multiplier.
    """
    weights = graph.tensors[op.weights]
    scale_in, scale_out = graph.tensors[op.input].scale, graph.tensors[op.output].scale
    if isinstance(op, FullyConnected) and len(weights.scales) == 1:
        product = scale_ratio(graph, (scale_in, weights.scale), 1.0)
        return (named_multiplier(op.name, product / scale_out),)
    channels = graph.tensors[op.output].shape[-1]
    if graph.uint8:
        product = single_precision_ratio((scale_in, weights.scale), 1.0)
        return (named_multiplier(op.name, product / scale_out),) * channels
    scales = weights.scales if len(weights.scales) == channels else weights.scales * channels
    return tuple(named_multiplier(op.name, scale_in * scale / scale_out) for scale in scales)


def reduced_multipliers(graph: Graph, op: Weighted) -> tuple[tuple[int, int], ...]:
    """`reduced_multiplier` of each of `conv_multipliers`, for an operator on int16.

    With acc = bias + sum of input * weight, in 64 bits and without zero points,
    output = clamp((acc * reduced + (1 << (right - 1))) >> right). Raises UnsupportedLayer where a
    ratio of scales has no such multiplier.
    """
    try:
        return tuple(reduced_multiplier(*pair) for pair in conv_multipliers(graph, op))
    except ValueError as error:
        raise UnsupportedLayer(f"{op.name}: {error}") from None


def named_multiplier(name: str, real: float) -> tuple[int, int]:
    """`quantize_multiplier`, raising UnsupportedLayer with the operator's name."""
    try:
        return quantize_multiplier(real)
    except ValueError as error:
        raise UnsupportedLayer(f"{name}: {error}") from None
