"""Mean, Sum, ReduceMax and ReduceMin, on int8 and int16.

Sources, of TensorFlow Lite release 2.14: tensorflow/lite/kernels/reduce.cc and
internal/reference/reduce.h.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from compress.arithmetic.fixedpoint import (
    multiply_by_quantized_multiplier,
    named_multiplier,
    value_range,
)
from compress.arithmetic.intervals import rising
from compress.arithmetic.tables import Kernel
from compress.errors import UnsupportedLayer, UserError
from compress.operator_interface.channels import Channels, Tie, all_fixed, channel_by_channel
from compress.operator_interface.checks import check_same_scale, require
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.ops import Mean, Op, ReduceMax, ReduceMin, Sum
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator
from compress.tflite_records.import_node import ImportNode
from compress.types import Graph, IntArray

Reduction = Mean | Sum | ReduceMax | ReduceMin

# Bits of an int8 minus a zero point, and of an int16, whose zero point is 0: without the sign.
_MAGNITUDE_BITS = {"int8": 8, "int16": 15}
_CODES: Mapping[type[Op], int] = {
    Mean: BuiltinOperator.MEAN,
    Sum: BuiltinOperator.SUM,
    ReduceMax: BuiltinOperator.REDUCE_MAX,
    ReduceMin: BuiltinOperator.REDUCE_MIN,
}
_TYPES: Mapping[int, type[Reduction]] = {
    BuiltinOperator.MEAN: Mean,
    BuiltinOperator.SUM: Sum,
    BuiltinOperator.REDUCE_MAX: ReduceMax,
    BuiltinOperator.REDUCE_MIN: ReduceMin,
}


@dataclass(frozen=True, slots=True)
class SumParameters:
    """output = clamp(output_offset + M(sum + sum_offset)); for a mean M includes 1 / `count`."""

    count: int
    sum_offset: int
    multiplier: int
    shift: int
    output_offset: int


def sum_parameters(graph: Graph, op: Mean | Sum) -> SumParameters:
    """Parameters of TFLite's MEAN and SUM: the ratio of scales, then divided by the count.

    Raises UnsupportedLayer where a shifted sum would leave int32.
    """
    source, out = graph.tensors[op.input], graph.tensors[op.output]
    count = math.prod(source.shape[axis] for axis in op.axes)
    multiplier, shift = named_multiplier(op.name, source.scale / out.scale)
    if isinstance(op, Mean):
        # The quotient must stay below 2**31 and the shift above -32.
        places = min(count.bit_length() - 1, 32, 31 + shift)
        shift -= places
        multiplier = (multiplier << places) // count
    if count << max(shift, 0) >= 2 ** (31 - _MAGNITUDE_BITS[source.dtype]):
        what = "mean" if isinstance(op, Mean) else "sum"
        raise UnsupportedLayer(f"{op.name}: a {what} over {count} elements may leave int32")
    return SumParameters(
        count=count,
        sum_offset=-source.zero_point * count,
        multiplier=multiplier,
        shift=shift,
        output_offset=out.zero_point,
    )


def _check_axes(graph: Graph, op: Reduction) -> None:
    x, out = graph.tensors[op.input], graph.tensors[op.output]
    axes, rank = op.axes, len(x.shape)
    ascending = bool(axes) and axes == tuple(sorted(set(axes)))
    require(ascending and axes[0] >= 0 and axes[-1] < rank, op.name, f"axes {axes}")
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(x.shape))
    dropped = tuple(n for axis, n in enumerate(x.shape) if axis not in axes)
    require(out.shape in (kept, dropped), op.name, f"{x.shape} to {out.shape}")


def _check_sum(graph: Graph, op: Mean | Sum) -> None:
    _check_axes(graph, op)
    sum_parameters(graph, op)


def _check_extreme(graph: Graph, op: ReduceMax | ReduceMin) -> None:
    _check_axes(graph, op)
    check_same_scale(op.name, graph.tensors[op.input], graph.tensors[op.output])


def _reduced(op: Reduction) -> tuple[int, ...]:
    """The reduced axes of a batch; the first axis of a single sample has extent 1."""
    return tuple(axis for axis in op.axes if axis > 0)


def _sum_kernel(graph: Graph, op: Mean | Sum) -> Kernel:
    p, out, axes = sum_parameters(graph, op), graph.tensors[op.output], _reduced(op)
    shape, lo_hi = out.shape[1:], value_range(out.dtype)

    def run_op(x: IntArray) -> IntArray:
        sums = x.sum(axis=axes, dtype=np.int64) + p.sum_offset
        values = multiply_by_quantized_multiplier(sums, p.multiplier, p.shift) + p.output_offset
        return np.clip(values, *lo_hi).astype(out.item).reshape(len(x), *shape)

    return run_op


def _extreme_kernel(graph: Graph, op: ReduceMax | ReduceMin) -> Kernel:
    shape, axes = graph.tensors[op.output].shape[1:], _reduced(op)
    extreme = np.max if isinstance(op, ReduceMax) else np.min
    return lambda x: extreme(x, axis=axes).reshape(len(x), *shape)


def _ties(graph: Graph, op: Reduction, channels: Channels) -> Iterator[Tie]:
    over_channels = len(graph.tensors[op.input].shape) - 1 in op.axes
    return (all_fixed if over_channels else channel_by_channel)(graph, op, channels)


def _import(node: ImportNode) -> Reduction:
    rank = len(node.tensors[node.input].shape)
    stated = [int(axis) for axis in node.int_constant(1).reshape(-1)]
    if not all(-rank <= axis < rank for axis in stated):
        raise UserError(f"{node.label}: reduced over axes {stated} of {rank}")
    axes = tuple(sorted({axis % rank for axis in stated}))
    return _TYPES[node.stored.code](node.label, node.input, node.output, axes)


def _export(context: ExportContext, op: Reduction) -> None:
    name = f"{context.output_name(op)}_axes"
    axes = context.add_constant(name, np.array(op.axes, np.int32))
    x, out = context.graph.tensors[op.input], context.graph.tensors[op.output]
    options = {"KeepDims": len(x.shape) == len(out.shape)}
    context.add(_CODES[type(op)], (op.input, axes), op.output, options)


def _operator(
    op: type[Op],
    check: Callable[[Graph, Any], None],
    kernel: Callable[[Graph, Any], Kernel],
) -> Operator[Any]:
    return Operator(
        op=op,
        check=check,
        kernel=kernel,
        export=_export,
        bounds=rising(kernel),
        ties=_ties,
        on_int16=True,
    )


FAMILY = Family(
    operators=(
        _operator(Mean, _check_sum, _sum_kernel),
        _operator(Sum, _check_sum, _sum_kernel),
        _operator(ReduceMax, _check_extreme, _extreme_kernel),
        _operator(ReduceMin, _check_extreme, _extreme_kernel),
    ),
    builtins=tuple(Builtin(code, 2, _import, "ReducerOptions", ("KeepDims",)) for code in _TYPES),
    limits=(
        "Any axes that form at most two groups of neighbors, kept or dropped; sums stay "
        "within int32."
    ),
)
