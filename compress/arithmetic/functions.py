"""Element-wise functions of an int8, bit-exact to TFLite's kernels: the values of `Lookup`.

Sources, of TensorFlow Lite release 2.14: tensorflow/lite/kernels/activations.cc (preparation;
LOGISTIC and TANH are float tables there, too), internal/reference/leaky_relu.h and hard_swish.h.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import assert_never

import numpy as np

from compress.arithmetic.fixedpoint import (
    Int64Array,
    multiply_by_quantized_multiplier,
    named_multiplier,
    scale_ratio,
    single_precision_ratio,
)
from compress.arithmetic.inverse_root import inverse_roots
from compress.arithmetic.rescaled import rescaled
from compress.arithmetic.tables import every_value
from compress.errors import UnsupportedLayer
from compress.ops import Function, Lookup
from compress.types import DType, Graph, Tensor

_INT16_MAX, _INT16_MIN = 2**15 - 1, -(2**15)
# Left shifts that keep an int8 minus a zero point, 9 bits, and an int16 within int32.
_LARGEST_SHIFT = {"int8": 22, "int16": 15}
_LARGEST_RATIO = 2.0**22  # as much, of a change of scale in float32


def int8_values(graph: Graph, op: Lookup) -> Int64Array:
    """The function of every int8, in the order of `every_value`, before the output's zero point.

    The values are not clipped. Raises UnsupportedLayer as `lookup_table` does.
    """
    source, out = graph.tensors[op.input], graph.tensors[op.output]
    match op.function:
        case Function.LEAKY_RELU:
            return leaky_relu(graph, op)
        case Function.HARD_SWISH:
            return _hard_swish(op, source, out)
        case Function.ABS:
            ratio = scale_ratio(graph, (source.scale,), out.scale)
            distance = np.abs(every_value("int8") - source.zero_point)
            return multiply_by_quantized_multiplier(distance, *_multiplier(op, ratio, "int8"))
        case Function.LOGISTIC:
            _check_output(op, out, (1 / 256, -128))
            return _tabulated(op, source, out, _logistic)
        case Function.TANH:
            _check_output(op, out, (1 / 128, 0))
            return _tabulated(op, source, out, math.tanh)
        case Function.ELU:
            return _tabulated(op, source, out, _elu)
        case Function.EXP:
            return _tabulated(op, source, out, _exp)
        case Function.RSQRT:
            return inverse_roots(op, source, out, single=not graph.other_precision)
        case Function.RESCALE:
            ratio = source.scale / out.scale
            if not graph.uint8 or ratio >= _LARGEST_RATIO:
                reason = f"by {ratio:g} overflows" if graph.uint8 else "exists on uint8 only"
                raise UnsupportedLayer(f"{op.name}: a change of scale in float32 {reason}")
            return rescaled(every_value("int8"), source, out)
        case _:
            assert_never(op.function)


def leaky_relu(graph: Graph, op: Lookup) -> Int64Array:
    """Values as `int8_values`, also of every int16."""
    source = graph.tensors[op.input]
    x = every_value(source.dtype) - source.zero_point
    positive, negative = leaky_relu_multipliers(graph, op)
    return np.where(
        x >= 0,
        multiply_by_quantized_multiplier(x, *positive),
        multiply_by_quantized_multiplier(x, *negative),
    )


def leaky_relu_multipliers(graph: Graph, op: Lookup) -> tuple[tuple[int, int], tuple[int, int]]:
    """Multiplier and shift of inputs from zero on, and of those below."""
    source, out = graph.tensors[op.input], graph.tensors[op.output]
    positive = scale_ratio(graph, (source.scale,), out.scale)
    negative = scale_ratio(graph, (source.scale, op.alpha), out.scale)
    return _multiplier(op, positive, source.dtype), _multiplier(op, negative, source.dtype)


def _multiplier(op: Lookup, real: float, dtype: DType) -> tuple[int, int]:
    multiplier, shift = named_multiplier(op.name, real)
    if shift > _LARGEST_SHIFT[dtype]:
        raise UnsupportedLayer(f"{op.name}: the ratio {real:g} of scales leaves int32")
    return multiplier, shift


def _hard_swish(op: Lookup, source: Tensor, out: Tensor) -> Int64Array:
    """x * relu6(x + 3) / 6 in int16 with 15 fraction bits."""
    fine_scale, unit_scale = source.scale / 2**7, 3.0 / 2**15
    ratios = (single_precision_ratio((fine_scale,), scale) for scale in (out.scale, unit_scale))
    (out_multiplier, out_shift), (unit_multiplier, unit_shift) = (
        _multiplier(op, ratio, "int8") for ratio in ratios
    )
    if not -15 <= out_shift <= 0 or unit_shift < -15:
        raise UnsupportedLayer(
            f"{op.name}: scales {source.scale:g} and {out.scale:g} have no int16 form"
        )
    out_factor, unit_factor = _to_int16(out_multiplier), _to_int16(unit_multiplier)

    def value(x: int) -> int:
        fine = x * 2**7
        on_out_scale = _rounded_high_product(fine, out_factor)
        # From the range -3 .. 3 to -1 .. 1 in Q0.15; only the last bit of a left shift saturates.
        gate = _saturate(fine << max(unit_shift - 1, 0))
        gate = _rounded_high_product(gate, unit_factor)
        gate = _saturate(gate << 1) if unit_shift > 0 else _rounding_divide(gate, -unit_shift)
        gate = (gate + 2**15) >> 1
        product = gate * on_out_scale
        truncated = abs(product) >> 15
        return _rounding_divide(truncated if product >= 0 else -truncated, -out_shift)

    return np.array([value(int(x) - source.zero_point) for x in every_value("int8")], np.int64)


def _to_int16(multiplier: int) -> int:
    return min((multiplier + 2**15) >> 16, _INT16_MAX)


def _saturate(x: int) -> int:
    return max(_INT16_MIN, min(_INT16_MAX, x))


def _rounded_high_product(a: int, b: int) -> int:
    """gemmlowp's SaturatingRoundingDoublingHighMul of int16; b is not negative."""
    return (a * b + 2**14) >> 15


def _rounding_divide(x: int, places: int) -> int:
    """x / 2**places, ties away from zero."""
    rounded = (abs(x) + ((1 << places) >> 1)) >> places
    return rounded if x >= 0 else -rounded


def _check_output(op: Lookup, out: Tensor, wanted: tuple[float, int]) -> None:
    """Require the one output scale and zero point that TFLite accepts."""
    if (out.scale, out.zero_point) != wanted:
        raise UnsupportedLayer(
            f"{op.name}: output must have scale {wanted[0]:g}, zero point {wanted[1]}"
        )


def _tabulated(
    op: Lookup, source: Tensor, out: Tensor, function: Callable[[float], float]
) -> Int64Array:
    """A table made in float32; the function itself is rounded from double precision."""
    with np.errstate(over="ignore"):  # infinity is a valid argument of LOGISTIC and TANH
        x = np.float32(source.scale) * (every_value("int8") - source.zero_point).astype(np.float32)
        transformed = np.array([function(float(value)) for value in x], np.float32)
        scaled = transformed * np.float32(1 / out.scale)
    if not (np.abs(scaled) < 2**31 - 256).all():
        raise UnsupportedLayer(f"{op.name}: output scale {out.scale:g} is too small")
    # std::round: ties away from zero.
    rounded: Int64Array = (np.sign(scaled) * np.floor(np.abs(scaled) + 0.5)).astype(np.int64)
    return rounded


def _logistic(x: float) -> float:
    # Below -80 the output is 0 as well, but exp(-x) would leave single precision.
    exponential = np.float32(math.exp(-max(x, -80.0)))
    return float(np.float32(1) / (np.float32(1) + exponential))


def _elu(x: float) -> float:
    return x if x >= 0 else float(np.float32(math.exp(x)) - np.float32(1))


def _exp(x: float) -> float:
    # From 89 on a float32 is infinite.
    return math.exp(min(x, 89.0))
