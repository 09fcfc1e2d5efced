"""Recurrence: check and cost of the GRU and LSTM of torch.

`compress.arithmetic.recurrence` has its integers and its kernel, `compress.recurrent.unroll` what
it is in a file: the file format has no such operator.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from compress.arithmetic.recurrence import (
    GATE_NAMES,
    STATE_LOG2,
    recurrence_kernel,
    recurrence_parameters,
)
from compress.errors import UnsupportedLayer
from compress.operator_interface.checks import require
from compress.operator_interface.operator import Family, Operator
from compress.ops import Recurrence
from compress.tflite_records.export_context import ExportContext
from compress.types import Graph

# Scales of the sums: the lowest is the unit in which TensorFlow Lite's LSTM holds its gates. That
# of a cell state may be as fine as the hidden state's.
SUM_LOG2 = range(-12, -3)
CELL_LOG2 = range(-15, -3)


def _check(graph: Graph, op: Recurrence) -> None:
    x, out = graph.tensors[op.input], graph.tensors[op.output]
    require(len(x.shape) == 4 and x.shape[:2] == (1, 1), op.name, f"input {x.shape}")
    units = out.shape[-1]
    shapes = ((*x.shape[:3], units), (1, units))
    require(out.shape in shapes, op.name, f"{x.shape} to {out.shape}")
    if out.dtype != "int16" or out.scale != 2.0**STATE_LOG2:
        raise UnsupportedLayer(f"{op.name}: output must be int16 of scale 1/32768")
    require(op.kind in GATE_NAMES, op.name, f"kind {op.kind!r}")
    count = len(GATE_NAMES[op.kind])
    groups = (op.input_weights, op.recurrent_weights, op.input_biases, op.recurrent_biases)
    require(all(len(group) == count for group in groups), op.name, f"not {count} gates")
    for indices, depth in ((op.input_weights, x.shape[3]), (op.recurrent_weights, units)):
        for index in indices:
            _check_constant(graph, op, index, (units, depth), "int8")
    for index in (*op.input_biases, *op.recurrent_biases):
        _check_constant(graph, op, index, (units,), "int32")
    for what, log2, allowed in (
        ("sums", op.sum_log2, SUM_LOG2),
        ("the cell state", op.cell_log2, CELL_LOG2 if op.kind == "lstm" else range(1)),
    ):
        if log2 not in allowed:
            raise UnsupportedLayer(
                f"{op.name}: scale 2^{log2} of {what}, allowed are 2^{allowed[0]} to "
                f"2^{allowed[-1]}"
            )
    recurrence_parameters(graph, op)


def _check_constant(
    graph: Graph, op: Recurrence, index: int, shape: tuple[int, ...], dtype: str
) -> None:
    """Require a constant of one scale and zero point 0."""
    tensor = graph.tensors[index]
    if tensor.data is None or tensor.dtype != dtype:
        raise UnsupportedLayer(f"{op.name}: {tensor.name} must be a constant {dtype}")
    require(tensor.shape == tensor.data.shape == shape, op.name, f"{tensor.name} {tensor.shape}")
    if len(tensor.scales) != 1 or tensor.zero_point != 0:
        raise UnsupportedLayer(f"{op.name}: {tensor.name} must have one scale and zero point 0")
    require(math.isfinite(tensor.scale) and tensor.scale > 0, op.name, f"scale {tensor.scale}")


def _macs(graph: Graph, op: Recurrence) -> Mapping[int, int]:
    """Every step takes one multiplication per weight."""
    steps = graph.tensors[op.input].shape[2]
    found: dict[int, int] = {}
    for index in (*op.input_weights, *op.recurrent_weights):
        found[index] = found.get(index, 0) + steps * graph.tensors[index].elements
    return found


def _export(context: ExportContext, op: Recurrence) -> None:
    raise TypeError(f"{op.name}: `compress.recurrent.unroll` has to replace it before the export")


FAMILY = Family(
    operators=(
        Operator(
            op=Recurrence,
            check=_check,
            kernel=recurrence_kernel,
            export=_export,
            macs=_macs,
            on_int16=True,
            converts=True,
        ),
    ),
    builtins=(),
    limits="A GRU or LSTM of torch; in a file it is unrolled to operators of each step.",
)
