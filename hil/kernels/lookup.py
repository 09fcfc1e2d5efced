"""Lookup: our own kernels; on int8 a table of 256 values in flash, on int16 arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compress.arithmetic.functions import leaky_relu_multipliers
from compress.arithmetic.functions_int16 import argument_multiplier
from compress.arithmetic.sigmoid import SIGMOID_TABLE
from compress.movement.table import TABLE_OFFSET, table_values
from compress.operators.lookup import lookup_table
from compress.ops import Function, Lookup, Table
from compress.types import Graph
from hil.kernel_interface.call import Call, array, constant, factor
from hil.kernel_interface.limits import no_int16_kernel
from hil.kernel_interface.operator_kernels import Kernel, OperatorKernels, always
from hil.types import Board, Step

_INT16_FUNCTIONS = (Function.LEAKY_RELU, Function.LOGISTIC, Function.TANH)


def _int16_kernels(graph: Graph, op: Lookup, board: Board) -> Iterator[Kernel]:
    if op.function not in _INT16_FUNCTIONS:
        raise no_int16_kernel(op)
    yield Kernel(f"{op.function.value}_s16")


def _call(graph: Graph, step: Step, op: Lookup) -> Call:
    elements = graph.tensors[op.output].elements
    if graph.tensors[op.output].dtype == "int8":
        table = constant(step, "table", "int8_t", lookup_table(graph, op))
        return Call("lookup", {"table": table.name, "elements": elements}, constants=(table,))
    if op.function is Function.LEAKY_RELU:
        above, below = leaky_relu_multipliers(graph, op)
        values = {"above": factor(*above), "below": factor(*below), "elements": elements}
        return Call("leaky_relu", values)
    multiplier, right_shift = argument_multiplier(graph, op)
    # One table for all layers.
    table = array(
        "sigmoid_table", "uint16_t", np.array(SIGMOID_TABLE, np.uint16), "sigmoid(i / 24) * 65536"
    )
    values = {
        "table": table.name,
        "multiplier": multiplier,
        "right_shift": right_shift,
        "elements": elements,
    }
    return Call("sigmoid", values, constants=(table,))


def _table_call(graph: Graph, step: Step, op: Table) -> Call:
    values = np.roll(table_values(graph, op), -TABLE_OFFSET)
    table = constant(step, "table", "int8_t", values)
    elements = graph.tensors[op.output].elements
    return Call("lookup", {"table": table.name, "elements": elements}, constants=(table,))


OPERATORS = (
    OperatorKernels(
        op=Lookup, kernels=always("lookup_s8"), int16_kernels=_int16_kernels, call=_call
    ),
    OperatorKernels(op=Table, kernels=always("lookup_s8"), call=_table_call),
)
