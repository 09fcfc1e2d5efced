"""BatchMatMul: the product of two matrices that are activations, on int8.

Sources, of TensorFlow Lite release 2.14: tensorflow/lite/kernels/batch_matmul.cc and
internal/reference/batch_matmul.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from compress.arithmetic.fixedpoint import (
    INT8_MAX,
    INT8_MIN,
    multiply_by_quantized_multiplier,
    named_multiplier,
    scale_ratio,
)
from compress.arithmetic.tables import Kernel
from compress.errors import UnsupportedLayer, UserError
from compress.operator_interface.checks import require
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.ops import BatchMatMul, Op, Transpose
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator
from compress.tflite_records.import_node import ImportNode
from compress.tflite_records.tensor import type_name
from compress.types import Graph, Int8Array

# Products of two differences of int8 that int32 holds.
LARGEST_DEPTH = (2**31 - 1) // 255**2
_FIELDS = ("AdjX", "AdjY")


@dataclass(frozen=True, slots=True)
class MatMulParameters:
    """output = clamp(output_offset + M(sum of (left + left_offset) * (right + right_offset)))."""

    left_offset: int
    right_offset: int
    output_offset: int
    multiplier: int
    shift: int


def matmul_parameters(graph: Graph, op: BatchMatMul) -> MatMulParameters:
    """Parameters of TFLite's BATCH_MATMUL.

    Raises UnsupportedLayer where a sum that is shifted left would leave int32.
    """
    left, right, out = (graph.tensors[index] for index in (op.left, op.right, op.output))
    ratio = scale_ratio(graph, (left.scale, right.scale), out.scale)
    multiplier, shift = named_multiplier(op.name, ratio)
    depth = left.shape[-1]
    if depth << max(shift, 0) > LARGEST_DEPTH:
        raise UnsupportedLayer(
            f"{op.name}: sums of {depth} products leave int32; allowed are {LARGEST_DEPTH}, and "
            "an output scale that is not below the product of the inputs' scales"
        )
    return MatMulParameters(
        left_offset=-left.zero_point,
        right_offset=-right.zero_point,
        output_offset=out.zero_point,
        multiplier=multiplier,
        shift=shift,
    )


def _check(graph: Graph, op: BatchMatMul) -> None:
    left, right, out = (graph.tensors[index].shape for index in (op.left, op.right, op.output))
    shapes = f"{left} and {right} to {out}"
    require(len(left) == len(right) == len(out) >= 3, op.name, shapes)
    inner, columns = right[:-3:-1] if op.transposed else right[-2:]
    require(left[-1] == inner, op.name, shapes)
    require(left[:-2] == right[:-2] == out[:-2], op.name, shapes)
    require(out[-2:] == (left[-2], columns), op.name, shapes)
    matmul_parameters(graph, op)


def _kernel(graph: Graph, op: BatchMatMul) -> Kernel:
    p = matmul_parameters(graph, op)

    def run_op(left: Int8Array, right: Int8Array) -> Int8Array:
        a = left.astype(np.int64) + p.left_offset
        b = right.astype(np.int64) + p.right_offset
        sums = a @ (b.swapaxes(-1, -2) if op.transposed else b)
        values = multiply_by_quantized_multiplier(sums, p.multiplier, p.shift) + p.output_offset
        return np.clip(values, INT8_MIN, INT8_MAX).astype(np.int8)

    return run_op


def _macs(graph: Graph, op: BatchMatMul) -> Mapping[int, int]:
    """The right operand stands for the weights."""
    depth = graph.tensors[op.left].shape[-1]
    return {op.right: graph.tensors[op.output].elements * depth}


def _import(node: ImportNode) -> tuple[Op, ...]:
    if len(node.stored.inputs) != 2:
        raise UserError(f"{node.label}: {len(node.stored.inputs)} inputs, must be 2")
    left, right = node.stored.inputs
    if node.type_of(left) != node.type_of(right):
        types = " and ".join(type_name(node.type_of(index)) for index in (left, right))
        raise UnsupportedLayer(
            f"{node.label}: a product of {types}, for which TFLite has no kernel; both must be int8"
        )
    for index in (left, right):
        if node.tensors[index].data is not None:
            raise UnsupportedLayer(
                f"{node.label}: {node.tensors[index].name} is a constant; only FULLY_CONNECTED "
                "takes one"
            )
    before: list[Op] = []
    adjoint, transposed = (bool(node.stored.options.get(name)) for name in _FIELDS)
    if adjoint:
        shape = node.tensors[left].shape
        axes = (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2)
        moved = node.reshaped(left, tuple(shape[axis] for axis in axes), "left")
        before.append(Transpose(f"{node.label}_left", left, moved, axes))
        left = moved
    return (*before, BatchMatMul(node.label, left, right, node.output, transposed))


def _export(context: ExportContext, op: BatchMatMul) -> None:
    options = dict(zip(_FIELDS, (False, op.transposed), strict=True))
    context.add(BuiltinOperator.BATCH_MATMUL, (op.left, op.right), op.output, options)


FAMILY = Family(
    operators=(Operator(op=BatchMatMul, check=_check, kernel=_kernel, export=_export, macs=_macs),),
    builtins=(Builtin(BuiltinOperator.BATCH_MATMUL, 2, _import, "BatchMatMulOptions", _FIELDS),),
    limits=(
        f"Two activations of three or four axes; sums of up to {LARGEST_DEPTH:,} products. A "
        "constant is refused."
    ),
)
