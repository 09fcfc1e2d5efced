"""Reshape, which runs no kernel, and Concatenate: our own kernel on int8."""

from __future__ import annotations

import math

from compress.ops import Concatenate, Reshape
from compress.types import Graph
from hil.kernel_interface.call import Call
from hil.kernel_interface.limits import check_scale_kept
from hil.kernel_interface.operator_kernels import NO_KERNEL, OperatorKernels, always
from hil.types import Step


def _reshape_call(graph: Graph, step: Step, op: Reshape) -> Call:
    return Call("view", {})


def _concatenate_call(graph: Graph, step: Step, op: Concatenate) -> Call:
    """`parts`: (offset in the output, rows, bytes per row, bytes from row to row) per input."""
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
    return Call("concatenate", {"parts": parts})


OPERATORS = (
    OperatorKernels(
        op=Reshape,
        check=check_scale_kept,
        kernels=always(NO_KERNEL),
        int16_kernels=always(NO_KERNEL),
        call=_reshape_call,
        any_extent=True,
    ),
    OperatorKernels(op=Concatenate, kernels=always("concatenate_s8"), call=_concatenate_call),
)
