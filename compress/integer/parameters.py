"""Plain integers that the kernels without weights need, derived from scales once.

Sources, of TensorFlow Lite release 2.14: tensorflow/lite/kernels/add.cc, sub.cc, mul.cc, reduce.cc,
activations.cc and quantize.cc, internal/quantization_util.cc (input radius).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from compress.errors import UnsupportedLayer
from compress.integer.fixedpoint import clamp_range, named_multiplier, single_precision_ratio
from compress.ops import Activation, Add, Mean, Mul, Requantize, Softmax
from compress.types import Graph

ADD_LEFT_SHIFT = 20  # of int8
ADD_LEFT_SHIFT_INT16 = 15
_WIDENING_LARGEST_SHIFT = 7  # an int8 minus a zero point, 255 at most, stays inside of int16
_INT16_LARGEST_SHIFT = 15  # an int16 shifted left by more leaves int32
# An int8 minus a zero point has 8 bits and a sign, a product of two 16: more shift leaves int32.
_MUL_LARGEST_SHIFT = 15
SOFTMAX_INTEGER_BITS = 5


@dataclass(frozen=True, slots=True)
class AddParameters:
    """output = clamp(output_offset + M_out((M_1(in1 + off1) + M_2(in2 + off2)))).

    The inputs are shifted left by `left_shift` (20, of int16 15) before M_1 and M_2. All is int32
    and each M is `multiply_by_quantized_multiplier`, of int16 tensors, too. `*_shift` > 0 shifts
    left (none does here). For a difference, M_2 is negative.
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
    """output = clamp(output_offset + M(input + input_offset)); `shift` > 0 shifts left.

    M is `multiply_by_quantized_multiplier` in int32 for every pair of int8 and int16.
    """

    input_offset: int
    multiplier: int
    shift: int
    output_offset: int
    lo: int
    hi: int


def add_parameters(graph: Graph, op: Add) -> AddParameters:
    """Parameters of TFLite's int8 and int16 ADD and SUB.

    Those of int16 are the general ones, for scales that need not be powers of two (in TFLite
    `pot_scale_int16` is false). Raises UnsupportedLayer if the output scale is too small.
    """
    left, right, out = graph.tensors[op.left], graph.tensors[op.right], graph.tensors[op.output]
    left_shift = ADD_LEFT_SHIFT_INT16 if out.dtype == "int16" else ADD_LEFT_SHIFT
    twice_max = 2.0 * max(left.scale, right.scale)
    real_output = twice_max / (2**left_shift * out.scale)
    if real_output >= 1:
        raise UnsupportedLayer(
            f"{op.name}: output scale {out.scale:g} is too small for inputs of {twice_max / 2:g}"
        )
    lo, hi = clamp_range(out, op.activation)
    right_multiplier, right_shift = named_multiplier(op.name, right.scale / twice_max)
    return AddParameters(
        left_shift,
        -left.zero_point,
        *named_multiplier(op.name, left.scale / twice_max),
        -right.zero_point,
        -right_multiplier if op.subtract else right_multiplier,
        right_shift,
        out.zero_point,
        *named_multiplier(op.name, real_output),
        lo,
        hi,
    )


def mul_parameters(graph: Graph, op: Mul) -> MulParameters:
    """Parameters of TFLite's int8 MUL (scales in single precision).

    Raises UnsupportedLayer where a shifted product would leave int32.
    """
    left, right, out = graph.tensors[op.left], graph.tensors[op.right], graph.tensors[op.output]
    ratio = single_precision_ratio((left.scale, right.scale), out.scale)
    multiplier, shift = named_multiplier(op.name, ratio)
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
    multiplier, shift = named_multiplier(op.name, source.scale / out.scale)
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
    multiplier, shift = named_multiplier(op.name, real)
    radius = (2**SOFTMAX_INTEGER_BITS - 1) * 2 ** (31 - SOFTMAX_INTEGER_BITS) >> shift
    return SoftmaxParameters(multiplier, shift, -radius)


def requantize_parameters(graph: Graph, op: Requantize) -> RequantizeParameters:
    """Parameters of TFLite's QUANTIZE (ratio in double precision), RELU and RELU6 (in single).

    From int8 to int16, where TFLite has no integer kernel but DEQUANTIZE and QUANTIZE, nothing may
    be lost: the input's scale is 1, 2, 4 .. 128 times the output's, exactly, and the output is
    (input - zero point) << n, never clamped. Raises UnsupportedLayer for other ratios and for
    what would leave int32.
    """
    source, out = graph.tensors[op.input], graph.tensors[op.output]
    if op.activation is Activation.NONE:
        real = source.scale / out.scale
    else:
        real = single_precision_ratio((source.scale,), out.scale)
    lo, hi = clamp_range(out, op.activation)
    multiplier, shift = named_multiplier(op.name, real)
    widens = source.dtype == "int8" and out.dtype == "int16"
    if widens and real not in [2.0**n for n in range(_WIDENING_LARGEST_SHIFT + 1)]:
        raise UnsupportedLayer(
            f"{op.name}: from int8 to int16 the ratio of scales must be 1, 2, 4 .. "
            f"{2**_WIDENING_LARGEST_SHIFT}, not {real:g}"
        )
    if source.dtype == "int16" and shift > _INT16_LARGEST_SHIFT:
        raise UnsupportedLayer(f"{op.name}: the ratio {real:g} of scales leaves int32")
    return RequantizeParameters(-source.zero_point, multiplier, shift, out.zero_point, lo, hi)
