"""Table: any function of one int8, by a constant table.

TensorFlow Lite has no operator for it. It is stored as a GATHER from the table, whose positions a
CAST to int32 and an ADD of 128 compute; `compress.tflite.tables` recognizes the three.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compress.arithmetic.intervals import Bounds, extremes_between
from compress.arithmetic.tables import Kernel, table_kernel
from compress.errors import UserError
from compress.operator_interface.channels import channel_by_channel
from compress.operator_interface.checks import check_same_scale, check_same_shape, require
from compress.operator_interface.operator import Operator
from compress.ops import Activation, Table
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator, FileTensor, TensorType
from compress.tflite_records.options import activation_option
from compress.types import Array, Graph, Int8Array

TABLE_SIZE = 256  # of an int8
TABLE_OFFSET = 128  # from an input to its place in the table


def table_values(graph: Graph, op: Table) -> Int8Array:
    """The constant table, int8 (256,), for inputs -128 .. 127. Raises UserError without data."""
    table = graph.tensors[op.table]
    if table.data is None:
        raise UserError(f"{op.name}: {table.name} has no data")
    return table.data.astype(np.int8, copy=False)


def _by_byte(graph: Graph, op: Table) -> Int8Array:
    """The table in the order of `every_value`."""
    return np.roll(table_values(graph, op), -TABLE_OFFSET)


def _check_table(graph: Graph, op: Table) -> None:
    table, out = graph.tensors[op.table], graph.tensors[op.output]
    check_same_shape(op.name, graph.tensors[op.input], out)
    check_same_scale(op.name, table, out)
    require(table_values(graph, op).shape == (TABLE_SIZE,), op.name, f"{table.name} shape")


def _table_kernel(graph: Graph, op: Table) -> Kernel:
    return table_kernel(_by_byte(graph, op))


def _table_bounds(graph: Graph, op: Table, operands: Sequence[Bounds]) -> Bounds:
    return extremes_between(_table_kernel(graph, op), graph.tensors[op.input], operands[0])


def _export_table(context: ExportContext, op: Table) -> None:
    name, shape = context.output_name(op), context.graph.tensors[op.input].shape
    indices, places = (
        context.add_tensor(FileTensor(f"{name}_{what}", shape, TensorType.INT32))
        for what in ("index", "place")
    )
    offset: Array = np.array(TABLE_OFFSET, np.int32)
    constant = context.add_constant(f"{name}_offset", offset)
    context.add(BuiltinOperator.CAST, (op.input,), indices)
    fused = activation_option(Activation.NONE)
    context.add(BuiltinOperator.ADD, (indices, constant), places, fused)
    options = {"Axis": 0, "BatchDims": 0}
    context.add(BuiltinOperator.GATHER, (op.table, places), op.output, options)


OPERATOR = Operator(
    op=Table,
    check=_check_table,
    kernel=_table_kernel,
    export=_export_table,
    bounds=_table_bounds,
    ties=channel_by_channel,
)
