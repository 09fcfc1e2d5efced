"""Mean.

Sources, of TensorFlow Lite release 2.14: tensorflow/lite/kernels/reduce.cc and
internal/reference/reduce.h.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from compress.arithmetic.fixedpoint import (
    INT8_MAX,
    INT8_MIN,
    multiply_by_quantized_multiplier,
    named_multiplier,
)
from compress.arithmetic.intervals import rising
from compress.arithmetic.tables import Kernel
from compress.errors import UnsupportedLayer, UserError
from compress.operator_interface.channels import Channels, Tie, all_fixed, channel_by_channel
from compress.operator_interface.checks import require
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.ops import Mean
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator
from compress.tflite_records.import_node import ImportNode
from compress.types import Graph, Int8Array


@dataclass(frozen=True, slots=True)
class MeanParameters:
    """output = clamp(output_offset + M(sum + sum_offset)); M includes 1 / `count`."""

    count: int
    sum_offset: int
    multiplier: int
    shift: int
    output_offset: int


def mean_parameters(graph: Graph, op: Mean) -> MeanParameters:
    """Parameters of TFLite's int8 MEAN: the ratio of scales, then divided by the count.

    Raises UnsupportedLayer where a shifted sum would leave int32.
    """
    source, out = graph.tensors[op.input], graph.tensors[op.output]
    count = math.prod(source.shape[axis] for axis in op.axes)
    multiplier, shift = named_multiplier(op.name, source.scale / out.scale)
    # The quotient must stay below 2**31 and the shift above -32.
    places = min(count.bit_length() - 1, 32, 31 + shift)
    shift -= places
    if count << max(shift, 0) >= 2**23:
        raise UnsupportedLayer(f"{op.name}: a mean over {count} elements may leave int32")
    return MeanParameters(
        count=count,
        sum_offset=-source.zero_point * count,
        multiplier=(multiplier << places) // count,
        shift=shift,
        output_offset=out.zero_point,
    )


def _check(graph: Graph, op: Mean) -> None:
    x, out = graph.tensors[op.input], graph.tensors[op.output]
    axes, rank = op.axes, len(x.shape)
    consecutive = axes == tuple(range(axes[0], axes[0] + len(axes))) if axes else False
    require(consecutive and axes[0] >= 1 and axes[-1] < rank, op.name, f"axes {axes}")
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(x.shape))
    dropped = tuple(n for axis, n in enumerate(x.shape) if axis not in axes)
    require(out.shape in (kept, dropped), op.name, f"{x.shape} to {out.shape}")
    mean_parameters(graph, op)


def _kernel(graph: Graph, op: Mean) -> Kernel:
    p, shape = mean_parameters(graph, op), graph.tensors[op.output].shape

    def run_op(x: Int8Array) -> Int8Array:
        sums = x.sum(axis=op.axes, dtype=np.int64) + p.sum_offset
        means = multiply_by_quantized_multiplier(sums, p.multiplier, p.shift) + p.output_offset
        return np.clip(means, INT8_MIN, INT8_MAX).astype(np.int8).reshape(len(x), *shape[1:])

    return run_op


def _ties(graph: Graph, op: Mean, channels: Channels) -> Iterator[Tie]:
    over_channels = len(graph.tensors[op.input].shape) - 1 in op.axes
    return (all_fixed if over_channels else channel_by_channel)(graph, op, channels)


def _import(node: ImportNode) -> Mean:
    rank = len(node.tensors[node.input].shape)
    stated = [int(axis) for axis in node.int_constant(1).reshape(-1)]
    if not all(-rank <= axis < rank for axis in stated):
        raise UserError(f"{node.label}: mean over axes {stated} of {rank}")
    axes = tuple(sorted({axis % rank for axis in stated}))
    if axes[0] == 0 or axes[-1] - axes[0] != len(axes) - 1:
        raise UnsupportedLayer(f"{node.label}: mean over axes {stated}, must be consecutive, not 0")
    return Mean(node.label, node.input, node.output, axes)


def _export(context: ExportContext, op: Mean) -> None:
    name = f"{context.output_name(op)}_axes"
    axes = context.add_constant(name, np.array(op.axes, np.int32))
    x, out = context.graph.tensors[op.input], context.graph.tensors[op.output]
    options = {"KeepDims": len(x.shape) == len(out.shape)}
    context.add(BuiltinOperator.MEAN, (op.input, axes), op.output, options)


FAMILY = Family(
    operators=(
        Operator(
            op=Mean,
            check=_check,
            kernel=_kernel,
            export=_export,
            bounds=rising(_kernel),
            ties=_ties,
        ),
    ),
    builtins=(Builtin(BuiltinOperator.MEAN, 2, _import, "ReducerOptions", ("KeepDims",)),),
)
