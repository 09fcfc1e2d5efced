"""Reshape, Pad and Concatenate: operators that move elements and compute nothing."""

from __future__ import annotations

import math

from compress.errors import UnsupportedLayer
from compress.ops import Concatenate, Pad, Reshape
from compress.types import Graph
from hil.kernels.call import Call
from hil.kernels.limits import check_scale_kept
from hil.kernels.operator_kernels import NO_KERNEL, OperatorKernels, always
from hil.types import Step

# pad_s8 loops over planes, rows of a plane and bytes of a row.
MOST_PADDED_AXES = 3


def _reshape_call(graph: Graph, step: Step, op: Reshape) -> Call:
    return Call("view", {})


def _check_pad(graph: Graph, op: Pad) -> None:
    if len(_padded_levels(graph, op)) > MOST_PADDED_AXES:
        raise UnsupportedLayer(f"{op.name}: more than {MOST_PADDED_AXES} padded axes")


def _pad_call(graph: Graph, step: Step, op: Pad) -> Call:
    levels = [*_padded_levels(graph, op), (1, 0, 0), (1, 0, 0)]
    values = {"value": op.value, "row": levels[0], "plane": levels[1], "all": levels[2]}
    return Call("pad", values)


def _padded_levels(graph: Graph, op: Pad) -> list[tuple[int, int, int]]:
    """(extent, bytes before, bytes after) per padded axis, innermost first; other axes merged.

    The first extent is in bytes, the others are in padded elements of the level below.
    """
    levels, element_bytes = [(1, 0, 0)], 1
    for extent, before, after in reversed(
        list(zip(graph.tensors[op.input].shape, op.before, op.after, strict=True))
    ):
        inner = levels[-1]
        if inner[1:] == (0, 0):
            levels[-1] = (inner[0] * extent, before * element_bytes, after * element_bytes)
        elif (extent, before, after) != (1, 0, 0):
            levels.append((extent, before * element_bytes, after * element_bytes))
        element_bytes *= extent + before + after
    return levels


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
    OperatorKernels(op=Pad, check=_check_pad, kernels=always("pad_s8"), call=_pad_call),
    OperatorKernels(op=Concatenate, kernels=always("concatenate_s8"), call=_concatenate_call),
)
