"""Lookup: element-wise functions as tables of 256 values, bit-exact to TFLite's kernels.

Sources, of TensorFlow Lite release 2.14: tensorflow/lite/kernels/activations.cc (preparation;
LOGISTIC and TANH are float tables there, too), internal/reference/leaky_relu.h and hard_swish.h.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

import numpy as np

from compress.arithmetic.fixedpoint import (
    INT8_MAX,
    INT8_MIN,
    Int64Array,
    multiply_by_quantized_multiplier,
    named_multiplier,
    scale_ratio,
    single_precision_ratio,
)
from compress.arithmetic.intervals import Bounds, extremes_between
from compress.arithmetic.tables import Kernel, every_value, table_kernel
from compress.errors import UnsupportedLayer
from compress.operator_interface.channels import channel_by_channel
from compress.operator_interface.checks import check_same_shape, require
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.ops import Function, Lookup
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator
from compress.tflite_records.import_node import ImportNode
from compress.types import Graph, Int8Array, Tensor

_INT16_MAX, _INT16_MIN = 2**15 - 1, -(2**15)
_LARGEST_SHIFT = 22  # of an int8 minus a zero point: 9 bits stay within int32
_CODES: Mapping[Function, int] = {
    Function.LEAKY_RELU: BuiltinOperator.LEAKY_RELU,
    Function.HARD_SWISH: BuiltinOperator.HARD_SWISH,
    Function.LOGISTIC: BuiltinOperator.LOGISTIC,
    Function.TANH: BuiltinOperator.TANH,
}
_FUNCTIONS = {code: function for function, code in _CODES.items()}


def lookup_table(graph: Graph, op: Lookup) -> Int8Array:
    """The function's output for every int8, in the order of `every_value`.

    Raises UnsupportedLayer for scales that TFLite does not accept or whose arithmetic would
    overflow.
    """
    source, out = graph.tensors[op.input], graph.tensors[op.output]
    match op.function:
        case Function.LEAKY_RELU:
            values = _leaky_relu(graph, op)
        case Function.HARD_SWISH:
            values = _hard_swish(op, source, out)
        case Function.LOGISTIC:
            values = _tabulated(op, source, out, (1 / 256, -128), _logistic)
        case Function.TANH:
            values = _tabulated(op, source, out, (1 / 128, 0), math.tanh)
        case _:
            assert_never(op.function)
    return np.clip(values + out.zero_point, INT8_MIN, INT8_MAX).astype(np.int8)


def _leaky_relu(graph: Graph, op: Lookup) -> Int64Array:
    source, out = graph.tensors[op.input], graph.tensors[op.output]
    x = every_value("int8") - source.zero_point
    positive = _multiplier(op, scale_ratio(graph, (source.scale,), out.scale))
    negative = _multiplier(op, scale_ratio(graph, (source.scale, op.alpha), out.scale))
    return np.where(
        x >= 0,
        multiply_by_quantized_multiplier(x, *positive),
        multiply_by_quantized_multiplier(x, *negative),
    )


def _multiplier(op: Lookup, real: float) -> tuple[int, int]:
    multiplier, shift = named_multiplier(op.name, real)
    if shift > _LARGEST_SHIFT:
        raise UnsupportedLayer(f"{op.name}: the ratio {real:g} of scales leaves int32")
    return multiplier, shift


def _hard_swish(op: Lookup, source: Tensor, out: Tensor) -> Int64Array:
    """x * relu6(x + 3) / 6 in int16 with 15 fraction bits."""
    fine_scale, unit_scale = source.scale / 2**7, 3.0 / 2**15
    ratios = (single_precision_ratio((fine_scale,), scale) for scale in (out.scale, unit_scale))
    (out_multiplier, out_shift), (unit_multiplier, unit_shift) = (
        _multiplier(op, ratio) for ratio in ratios
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


def _tabulated(
    op: Lookup,
    source: Tensor,
    out: Tensor,
    wanted: tuple[float, int],
    function: Callable[[float], float],
) -> Int64Array:
    """LOGISTIC and TANH in float32; the function itself is rounded from double precision.

    `wanted` is the one output scale and zero point that TFLite accepts.
    """
    if (out.scale, out.zero_point) != wanted:
        raise UnsupportedLayer(
            f"{op.name}: output must have scale {wanted[0]:g}, zero point {wanted[1]}"
        )
    with np.errstate(over="ignore"):  # infinity is a valid argument of both functions
        x = np.float32(source.scale) * (every_value("int8") - source.zero_point).astype(np.float32)
    transformed = np.array([function(float(value)) for value in x], np.float32)
    scaled = transformed * np.float32(1 / out.scale)
    # std::round: ties away from zero.
    rounded: Int64Array = (np.sign(scaled) * np.floor(np.abs(scaled) + 0.5)).astype(np.int64)
    return rounded


def _logistic(x: float) -> float:
    # Below -80 the output is 0 as well, but exp(-x) would leave single precision.
    exponential = np.float32(math.exp(-max(x, -80.0)))
    return float(np.float32(1) / (np.float32(1) + exponential))


def _check(graph: Graph, op: Lookup) -> None:
    check_same_shape(op.name, graph.tensors[op.input], graph.tensors[op.output])
    require(math.isfinite(op.alpha), op.name, f"alpha {op.alpha}")
    lookup_table(graph, op)


def _kernel(graph: Graph, op: Lookup) -> Kernel:
    return table_kernel(lookup_table(graph, op))


def _bounds(graph: Graph, op: Lookup, operands: Sequence[Bounds]) -> Bounds:
    """Extremes of the table: a function may fall and rise."""
    return extremes_between(_kernel(graph, op), graph.tensors[op.input], operands[0])


def _import(node: ImportNode) -> Lookup:
    alpha = float(node.stored.options.get("Alpha", 0.0))
    return Lookup(node.label, node.input, node.output, _FUNCTIONS[node.stored.code], alpha)


def _export(context: ExportContext, op: Lookup) -> None:
    options = {"Alpha": op.alpha} if op.function is Function.LEAKY_RELU else {}
    context.add(_CODES[op.function], (op.input,), op.output, options)


FAMILY = Family(
    operators=(
        Operator(
            op=Lookup,
            check=_check,
            kernel=_kernel,
            export=_export,
            bounds=_bounds,
            ties=channel_by_channel,
        ),
    ),
    builtins=(
        Builtin(BuiltinOperator.LEAKY_RELU, 2, _import, "LeakyReluOptions", ("Alpha",)),
        Builtin(BuiltinOperator.HARD_SWISH, 1, _import),
        Builtin(BuiltinOperator.LOGISTIC, 2, _import),
        Builtin(BuiltinOperator.TANH, 2, _import),
    ),
)
