"""Reshape, which runs no kernel, and Concatenate: our own kernel for any type."""

from __future__ import annotations

import math

from compress.ops import Concatenate, Reshape
from compress.types import Graph
from hil.kernel_interface.call import Call, c_type, constant
from hil.kernel_interface.limits import check_scale_kept
from hil.kernel_interface.operator_kernels import NO_KERNEL, OperatorKernels, always
from hil.types import Step


def _reshape_call(graph: Graph, step: Step, op: Reshape) -> Call:
    return Call("view", {})


def _concatenate_call(graph: Graph, step: Step, op: Concatenate) -> Call:
    """`parts`: (input or name of a constant, offset in the output, rows, bytes per row, stride).

    The stride is the bytes of the output from one row to the next.
    """
    out = graph.tensors[op.output]
    item_bytes = out.size_bytes // out.elements
    rows = math.prod(out.shape[: op.axis])
    stride_bytes = item_bytes * math.prod(out.shape[op.axis :])
    parts, offset, constants = [], 0, []
    inputs = iter(range(len(op.inputs)))
    for place, index in enumerate(op.parts):
        tensor = graph.tensors[index]
        source: int | str
        if tensor.data is None:
            source = next(inputs)
        else:
            constants.append(constant(step, f"part_{place}", c_type(tensor), tensor.data))
            source = constants[-1].name
        row_bytes = tensor.size_bytes // rows
        # Rows without a gap are one row.
        whole = row_bytes == stride_bytes
        runs = (1, rows * row_bytes) if whole else (rows, row_bytes)
        parts.append((source, offset, *runs, stride_bytes))
        offset += row_bytes
    values = {"parts": parts, "cast": out.dtype != "int8"}
    return Call("concatenate", values, constants=tuple(constants))


OPERATORS = (
    OperatorKernels(
        op=Reshape,
        check=check_scale_kept,
        kernels=always(NO_KERNEL),
        int16_kernels=always(NO_KERNEL),
        call=_reshape_call,
        any_extent=True,
    ),
    OperatorKernels(
        op=Concatenate,
        kernels=always("concatenate"),
        int16_kernels=always("concatenate"),
        call=_concatenate_call,
    ),
)
