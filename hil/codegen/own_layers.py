"""Layers that run on our own kernels (`firmware/kernels`): their macros' parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, assert_never

from compress.integer.lookup import lookup_table
from compress.integer.parameters import (
    add_parameters,
    mean_parameters,
    mul_parameters,
    requantize_parameters,
    softmax_parameters,
)
from compress.ops import Add, Concatenate, Lookup, Mean, Mul, Pad, Requantize, Softmax
from compress.types import Graph
from hil.codegen.kernel_limits import padded_levels
from hil.codegen.template_values import Layer, constant
from hil.types import Step

OwnOp = Add | Mul | Requantize | Lookup | Softmax | Mean | Pad | Concatenate


def own_layer(
    graph: Graph, step: Step, op: OwnOp, comment: str, places: Mapping[str, Any]
) -> Layer:
    """The layer of `op`; `places` are the arena offsets of its inputs and output.

    Raises UnsupportedLayer without a fixed-point form.
    """
    out = graph.tensors[op.output]
    match op:
        case Add():
            a = add_parameters(graph, op)
            values: dict[str, Any] = {
                "left_shift": a.left_shift,
                "left": (a.input1_offset, a.input1_multiplier, -a.input1_shift),
                "right": (a.input2_offset, a.input2_multiplier, -a.input2_shift),
                "sum": (a.output_offset, a.output_multiplier, -a.output_shift),
                "range": (a.lo, a.hi),
            }
            return _binary(graph, step, op, "add", comment, {**places, **values})
        case Mul():
            m = mul_parameters(graph, op)
            values = {
                "left_offset": m.input1_offset,
                "right_offset": m.input2_offset,
                "output_offset": m.output_offset,
                **_factor(m.multiplier, m.shift),
                "range": (m.lo, m.hi),
            }
            return _binary(graph, step, op, "mul", comment, {**places, **values})
        case Requantize():
            r = requantize_parameters(graph, op)
            values = {
                "input_offset": r.input_offset,
                "output_offset": r.output_offset,
                **_factor(r.multiplier, r.shift),
                "range": (r.lo, r.hi),
                "elements": out.elements,
            }
            return Layer(step, "requantize", comment, {**places, **values})
        case Lookup():
            table = constant(step, "table", "int8_t", lookup_table(graph, op))
            values = {"table": table.name, "elements": out.elements}
            return Layer(step, "lookup", comment, {**places, **values}, constants=(table,))
        case Softmax():
            s = softmax_parameters(graph, op)
            columns = out.shape[-1]
            values = {
                "multiplier": s.multiplier,
                "left_shift": s.left_shift,
                "diff_min": s.diff_min,
                "rows": out.elements // columns,
                "columns": columns,
            }
            return Layer(step, "softmax", comment, {**places, **values})
        case Mean():
            mean, shape = mean_parameters(graph, op), graph.tensors[op.input].shape
            values = {
                "sum_offset": mean.sum_offset,
                "output_offset": mean.output_offset,
                **_factor(mean.multiplier, mean.shift),
                "blocks": math.prod(shape[: op.axes[0]]),
                "count": mean.count,
                "elements": math.prod(shape[op.axes[-1] + 1 :]),
            }
            return Layer(step, "mean", comment, {**places, **values})
        case Pad():
            levels = [*padded_levels(graph, op), (1, 0, 0), (1, 0, 0)]
            values = {"value": op.value, "row": levels[0], "plane": levels[1], "all": levels[2]}
            return Layer(step, "pad", comment, {**places, **values})
        case Concatenate():
            return Layer(step, "concatenate", comment, {**places, "parts": _parts(graph, op)})
        case _:
            assert_never(op)


def _factor(multiplier: int, shift: int) -> dict[str, int]:
    return {
        "multiplier": multiplier,
        "left_shift": max(shift, 0),
        "right_shift": max(-shift, 0),
    }


def _binary(
    graph: Graph, step: Step, op: Add | Mul, kind: str, comment: str, values: dict[str, Any]
) -> Layer:
    """The right operand is in the arena or, as a constant, in flash."""
    right = graph.tensors[op.right]
    values |= {
        "repeats": graph.tensors[op.output].elements // right.elements,
        "elements": right.elements,
        "operand": None,
    }
    if not op.constant:
        return Layer(step, kind, comment, values)
    if right.data is None:
        raise ValueError(f"{op.name}: {right.name} has no data")
    operand = constant(step, "operand", "int8_t", right.data)
    values["operand"] = operand.name
    return Layer(step, kind, comment, values, constants=(operand,))


def _parts(graph: Graph, op: Concatenate) -> list[tuple[int, int, int, int]]:
    """(offset in the output, rows, bytes per row, bytes from row to row) of each input."""
    out = graph.tensors[op.output]
    rows, stride_bytes = math.prod(out.shape[: op.axis]), math.prod(out.shape[op.axis :])
    parts, offset = [], 0
    for index in op.inputs:
        row_bytes = graph.tensors[index].elements // rows
        part = (offset, rows, row_bytes, stride_bytes)
        # Rows without a gap are one row.
        whole = (offset, 1, rows * row_bytes, rows * stride_bytes)
        parts.append(whole if row_bytes == stride_bytes else part)
        offset += row_bytes
    return parts
