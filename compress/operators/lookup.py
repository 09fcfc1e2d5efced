"""Lookup: element-wise functions as tables, bit-exact to TFLite's kernels.

`compress.arithmetic.functions` and `functions_int16` compute the values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from compress.arithmetic.fixedpoint import value_range
from compress.arithmetic.functions import int8_values
from compress.arithmetic.functions_int16 import int16_values
from compress.arithmetic.intervals import Bounds, extremes_between
from compress.arithmetic.tables import Kernel, table_kernel
from compress.operator_interface.channels import channel_by_channel
from compress.operator_interface.checks import check_same_shape, require
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.ops import Activation, Function, Lookup
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator
from compress.tflite_records.import_node import ImportNode
from compress.tflite_records.options import activation_option
from compress.types import Graph, IntArray

_CODES: Mapping[Function, int] = {
    Function.LEAKY_RELU: BuiltinOperator.LEAKY_RELU,
    Function.HARD_SWISH: BuiltinOperator.HARD_SWISH,
    Function.LOGISTIC: BuiltinOperator.LOGISTIC,
    Function.TANH: BuiltinOperator.TANH,
    Function.ABS: BuiltinOperator.ABS,
    Function.ELU: BuiltinOperator.ELU,
    Function.EXP: BuiltinOperator.EXP,
    Function.RSQRT: BuiltinOperator.RSQRT,
}
_FUNCTIONS = {code: function for function, code in _CODES.items()}


def lookup_table(graph: Graph, op: Lookup) -> IntArray:
    """The function's output for every value of the input's type, in the order of `every_value`.

    Raises UnsupportedLayer for scales that TFLite does not accept or whose arithmetic would
    overflow.
    """
    out = graph.tensors[op.output]
    values = (int16_values if out.dtype == "int16" else int8_values)(graph, op)
    return np.clip(values + out.zero_point, *value_range(out.dtype)).astype(out.item)


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
    if op.function is Function.RESCALE:  # it is what a concatenation of one part does
        axis = len(context.graph.tensors[op.output].shape) - 1
        options = {"Axis": axis, **activation_option(Activation.NONE)}
        context.add(BuiltinOperator.CONCATENATION, (op.input,), op.output, options)
        return
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
            on_int16=True,
        ),
    ),
    builtins=(
        Builtin(BuiltinOperator.LEAKY_RELU, 2, _import, "LeakyReluOptions", ("Alpha",)),
        Builtin(BuiltinOperator.HARD_SWISH, 1, _import),
        Builtin(BuiltinOperator.LOGISTIC, 2, _import),
        Builtin(BuiltinOperator.TANH, 2, _import),
        Builtin(BuiltinOperator.ABS, 2, _import),
        Builtin(BuiltinOperator.ELU, 1, _import),
        Builtin(BuiltinOperator.EXP, 2, _import),
        Builtin(BuiltinOperator.RSQRT, 2, _import),
    ),
    limits=(
        "LEAKY_RELU, LOGISTIC and TANH on int8 and int16, the others on int8; RSQRT of inputs with "
        "zero point -128."
    ),
)
