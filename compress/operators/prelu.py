"""Prelu.

Sources, of TensorFlow Lite release 2.14: tensorflow/lite/kernels/activations.cc (preparation) and
internal/reference/prelu.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import dropwhile

import numpy as np

from compress.arithmetic.fixedpoint import (
    INT8_MAX,
    INT8_MIN,
    multiply_by_quantized_multiplier,
    named_multiplier,
    scale_ratio,
)
from compress.arithmetic.intervals import Bounds
from compress.arithmetic.tables import Kernel
from compress.errors import UnsupportedLayer, UserError
from compress.operator_interface.channels import CutConstants, Kept, channel_by_channel, sliced
from compress.operator_interface.checks import check_same_shape, check_scale, require
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.ops import Prelu
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator
from compress.tflite_records.import_node import ImportNode
from compress.types import Array, Graph, Int8Array

# Left shifts that keep an int8 minus a zero point, 9 bits, and a product of two within int32.
_LARGEST_SHIFTS = (22, 15)


@dataclass(frozen=True, slots=True)
class PreluParameters:
    """output = clamp(output_offset + M(input + input_offset)) where the sum is not negative.

    Otherwise M_alpha((input + input_offset) * (alpha + alpha_offset)) stands for M(...). Each
    multiplier has its shift; > 0 shifts left.
    """

    input_offset: int
    alpha_offset: int
    output_offset: int
    multiplier: tuple[int, int]
    alpha_multiplier: tuple[int, int]


def prelu_parameters(graph: Graph, op: Prelu) -> PreluParameters:
    """Parameters of TFLite's int8 PRELU (scales in single precision).

    Raises UnsupportedLayer where a shifted product would leave int32.
    """
    x, alpha, out = (graph.tensors[index] for index in (op.input, op.alpha, op.output))
    pairs = [
        named_multiplier(op.name, scale_ratio(graph, factors, out.scale))
        for factors in ((x.scale,), (x.scale, alpha.scale))
    ]
    if any(shift > most for (_, shift), most in zip(pairs, _LARGEST_SHIFTS, strict=True)):
        raise UnsupportedLayer(f"{op.name}: output scale {out.scale:g} is too small")
    return PreluParameters(
        input_offset=-x.zero_point,
        alpha_offset=-alpha.zero_point,
        output_offset=out.zero_point,
        multiplier=pairs[0],
        alpha_multiplier=pairs[1],
    )


def alpha_values(graph: Graph, op: Prelu) -> Array:
    """The constant alpha, int8, in its own shape."""
    alpha = graph.tensors[op.alpha]
    if alpha.data is None:
        raise UserError(f"{op.name}: {alpha.name} has no data")
    return alpha.data


def _check(graph: Graph, op: Prelu) -> None:
    x, alpha = graph.tensors[op.input], graph.tensors[op.alpha]
    check_same_shape(op.name, x, graph.tensors[op.output])
    if alpha.data is None or alpha.dtype != "int8" or len(alpha.scales) != 1:
        raise UnsupportedLayer(f"{op.name}: {alpha.name} must be a constant int8 with one scale")
    require(alpha.data.shape == alpha.shape, op.name, f"{alpha.name} shape")
    check_scale(alpha, op.name)
    core = tuple(dropwhile(lambda n: n == 1, alpha.shape))
    if len(alpha.shape) > len(x.shape) or x.shape[len(x.shape) - len(core) :] != core:
        raise UnsupportedLayer(f"{op.name}: Prelu of {x.shape} with {alpha.shape}")
    prelu_parameters(graph, op)


def _kernel(graph: Graph, op: Prelu) -> Kernel:
    p, alpha = prelu_parameters(graph, op), alpha_values(graph, op)
    factors = alpha.astype(np.int64) + p.alpha_offset

    def run_op(x: Int8Array) -> Int8Array:
        values = x.astype(np.int64) + p.input_offset
        above = multiply_by_quantized_multiplier(values, *p.multiplier)
        below = multiply_by_quantized_multiplier(values * factors, *p.alpha_multiplier)
        result = np.where(values >= 0, above, below) + p.output_offset
        return np.clip(result, INT8_MIN, INT8_MAX).astype(np.int8)

    return run_op


def _bounds(graph: Graph, op: Prelu, operands: Sequence[Bounds]) -> Bounds:
    """Extremes are at the ends of an interval, or at zero within it."""
    (x,), kernel = operands, _kernel(graph, op)
    zero = np.full_like(x.lowest, graph.tensors[op.input].zero_point)
    values = np.stack([kernel(v) for v in (x.lowest, x.highest, zero.clip(x.lowest, x.highest))])
    return Bounds(values.min(axis=0), values.max(axis=0))


def _cut(graph: Graph, op: Prelu, kept: Kept, constants: CutConstants) -> Prelu:
    alpha, out = graph.tensors[op.alpha], kept[op.output]
    if alpha.shape[-1:] == out.shape:
        alpha = sliced(alpha, out, axis=len(alpha.shape) - 1)
    return replace(op, alpha=constants.place(op.alpha, alpha))


def _import(node: ImportNode) -> Prelu:
    if len(node.stored.inputs) != 2:
        raise UserError(f"{node.label}: {len(node.stored.inputs)} inputs, must be 2")
    x, alpha = node.stored.inputs
    return Prelu(node.label, x, alpha, node.output)


def _export(context: ExportContext, op: Prelu) -> None:
    context.add(BuiltinOperator.PRELU, (op.input, op.alpha), op.output)


FAMILY = Family(
    operators=(
        Operator(
            op=Prelu,
            check=_check,
            kernel=_kernel,
            export=_export,
            bounds=_bounds,
            ties=channel_by_channel,
            cut=_cut,
        ),
    ),
    builtins=(Builtin(BuiltinOperator.PRELU, 1, _import),),
    limits=("A constant slope for each channel or for all."),
)
