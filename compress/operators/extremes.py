"""Minimum and Maximum of two tensors of one scale: the quantized values are compared.

Source, of TensorFlow Lite release 2.14: tensorflow/lite/kernels/maximum_minimum.cc.
"""

from __future__ import annotations

import numpy as np

from compress.arithmetic.intervals import rising
from compress.arithmetic.tables import Kernel
from compress.errors import UnsupportedLayer
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.operators.binary import (
    check_operands,
    cut_constant_operand,
    import_operands,
    operand_ties,
    with_repeated_right,
)
from compress.ops import Maximum, Minimum, Op
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator
from compress.tflite_records.import_node import ImportNode
from compress.types import Graph

Extreme = Minimum | Maximum


def _check(graph: Graph, op: Extreme) -> None:
    """TensorFlow Lite compares quantized values, which means something with one scale only."""
    check_operands(graph, op)
    left, right, out = (graph.tensors[index] for index in (op.left, op.right, op.output))
    for tensor in (right, out):
        if (tensor.scales, tensor.zero_point) != (left.scales, left.zero_point):
            raise UnsupportedLayer(
                f"{op.name}: {tensor.name} must have the scale and zero point of {left.name}"
            )


def _kernel(graph: Graph, op: Extreme) -> Kernel:
    function = np.minimum if isinstance(op, Minimum) else np.maximum
    return with_repeated_right(graph, op, function)


def _import(node: ImportNode) -> tuple[Op, ...]:
    before, left, right, constant, _ = import_operands(node)
    kind = Minimum if node.stored.code == BuiltinOperator.MINIMUM else Maximum
    return (*before, kind(node.label, left, right, node.output, constant))


def _export(context: ExportContext, op: Extreme) -> None:
    code = BuiltinOperator.MINIMUM if isinstance(op, Minimum) else BuiltinOperator.MAXIMUM
    context.add(code, (op.left, op.right), op.output)


FAMILY = Family(
    operators=tuple(
        Operator(
            op=kind,
            check=_check,
            kernel=_kernel,
            export=_export,
            bounds=rising(_kernel),
            ties=operand_ties,
            cut=cut_constant_operand,
            on_int16=True,
        )
        for kind in (Minimum, Maximum)
    ),
    builtins=(
        Builtin(BuiltinOperator.MINIMUM, 2, _import),
        Builtin(BuiltinOperator.MAXIMUM, 2, _import),
    ),
    limits=("Both operands have one scale and zero point."),
)
