"""Requantize: changes of scale, zero point or type, and activations that stand alone.

Sources, of TensorFlow Lite release 2.14: tensorflow/lite/kernels/quantize.cc and activations.cc,
internal/reference/requantize.h.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compress.arithmetic.fixedpoint import (
    clamp_range,
    multiply_by_quantized_multiplier,
    named_multiplier,
    scale_ratio,
)
from compress.arithmetic.intervals import Bounds, extremes_between
from compress.arithmetic.tables import Kernel, every_value, table_kernel
from compress.errors import UnsupportedLayer
from compress.operator_interface.channels import channel_by_channel
from compress.operator_interface.checks import check_same_shape
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.ops import Activation, Requantize
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator, FileTensor, TensorType
from compress.tflite_records.import_node import ImportNode
from compress.types import Graph

_WIDENING_LARGEST_SHIFT = 7  # an int8 minus a zero point, at most 255, stays within int16
_INT16_LARGEST_SHIFT = 15  # an int16 shifted left by more leaves int32
_NOT_ON_INT16 = Activation.RELU_N1_TO_1
_CODES: Mapping[Activation, int] = {
    Activation.NONE: BuiltinOperator.QUANTIZE,
    Activation.RELU: BuiltinOperator.RELU,
    Activation.RELU6: BuiltinOperator.RELU6,
    Activation.RELU_N1_TO_1: BuiltinOperator.RELU_N1_TO_1,
}
_ACTIVATIONS = {code: activation for activation, code in _CODES.items()}


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


def requantize_parameters(graph: Graph, op: Requantize) -> RequantizeParameters:
    """Parameters of TFLite's QUANTIZE (ratio in double precision), RELU and RELU6 (in single).

    From int8 to int16 TFLite has no integer kernel, only DEQUANTIZE and QUANTIZE. The conversion
    must be exact: the input's scale is 1, 2, 4 .. 128 times the output's, and the output is
    (input - zero point) << n, never clamped. Raises UnsupportedLayer for other ratios and for
    ratios that would leave int32.
    """
    source, out = graph.tensors[op.input], graph.tensors[op.output]
    if op.activation is Activation.NONE:
        real = source.scale / out.scale
    else:
        real = scale_ratio(graph, (source.scale,), out.scale)
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
    return RequantizeParameters(
        input_offset=-source.zero_point,
        multiplier=multiplier,
        shift=shift,
        output_offset=out.zero_point,
        lo=lo,
        hi=hi,
    )


def _check(graph: Graph, op: Requantize) -> None:
    """TFLite's RELU and RELU6 keep the type, and there is no RELU_N1_TO_1 on int16.

    An int16 with a zero point, which only Softmax writes, becomes int8.
    """
    x, out = graph.tensors[op.input], graph.tensors[op.output]
    check_same_shape(op.name, x, out)
    if op.activation is not Activation.NONE and (
        x.dtype != out.dtype or (x.dtype == "int16" and op.activation is _NOT_ON_INT16)
    ):
        types = f"{x.dtype} to {out.dtype}"
        raise UnsupportedLayer(f"{op.name}: there is no {op.activation.name} of {types}")
    shifted = next((t for t in (out, x) if t.dtype == "int16" and t.zero_point != 0), None)
    if shifted is not None and (x.dtype, out.dtype) != ("int16", "int8"):
        raise UnsupportedLayer(
            f"{op.name}: {shifted.name} is int16 with zero point {shifted.zero_point}, must be 0"
        )
    requantize_parameters(graph, op)


def _kernel(graph: Graph, op: Requantize) -> Kernel:
    p, every = requantize_parameters(graph, op), every_value(graph.tensors[op.input].dtype)
    values = multiply_by_quantized_multiplier(every + p.input_offset, p.multiplier, p.shift)
    out = graph.tensors[op.output]
    return table_kernel(np.clip(values + p.output_offset, p.lo, p.hi).astype(out.item))


def _bounds(graph: Graph, op: Requantize, operands: Sequence[Bounds]) -> Bounds:
    """Extremes of the table: a multiplication that wraps at 32 bits is not monotone."""
    return extremes_between(_kernel(graph, op), graph.tensors[op.input], operands[0])


def _import(node: ImportNode) -> Requantize:
    return Requantize(node.label, node.input, node.output, _ACTIVATIONS[node.stored.code])


def _export(context: ExportContext, op: Requantize) -> None:
    """From int8 to int16 by way of float32: release 2.14 has no other."""
    source, out = op.input, context.graph.tensors[op.output]
    if out.dtype == "int16" and not context.reads_int16(op):
        real = FileTensor(f"{out.name}_float", out.shape, TensorType.FLOAT32)
        source = context.add_tensor(real)
        context.add(BuiltinOperator.DEQUANTIZE, (op.input,), source)
    context.add(_CODES[op.activation], (source,), op.output)


FAMILY = Family(
    operators=(
        Operator(
            op=Requantize,
            check=_check,
            kernel=_kernel,
            export=_export,
            bounds=_bounds,
            ties=channel_by_channel,
            on_int16=True,
            converts=True,
            int16_zero_points=True,
        ),
    ),
    builtins=(
        Builtin(BuiltinOperator.QUANTIZE, 2, _import),
        Builtin(BuiltinOperator.RELU, 2, _import),
        Builtin(BuiltinOperator.RELU6, 2, _import),
        Builtin(BuiltinOperator.RELU_N1_TO_1, 1, _import),
        # `compress.tflite.edges` takes it out of a file before the import.
        Builtin(BuiltinOperator.DEQUANTIZE, 2, None),
    ),
    limits=(
        "From int8 to int16 the ratio of scales is a power of two up to 128; RELU_N1_TO_1 on "
        "int8 only."
    ),
)
