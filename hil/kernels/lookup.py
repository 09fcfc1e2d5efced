"""Lookup: our own kernel on int8, with a table of 256 values in flash."""

from __future__ import annotations

from compress.operators.lookup import lookup_table
from compress.ops import Lookup
from compress.types import Graph
from hil.kernel_interface.call import Call, constant
from hil.kernel_interface.operator_kernels import OperatorKernels, always
from hil.types import Step


def _call(graph: Graph, step: Step, op: Lookup) -> Call:
    table = constant(step, "table", "int8_t", lookup_table(graph, op))
    values = {"table": table.name, "elements": graph.tensors[op.output].elements}
    return Call("lookup", values, constants=(table,))


OPERATORS = (OperatorKernels(op=Lookup, kernels=always("lookup_s8"), call=_call),)
