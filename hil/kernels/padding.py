"""Pad: our own kernel on int8."""

from __future__ import annotations

from compress.errors import UnsupportedLayer
from compress.ops import Pad
from compress.types import Graph
from hil.kernel_interface.call import Call
from hil.kernel_interface.operator_kernels import OperatorKernels, always
from hil.types import Step

# pad_s8 loops over planes, rows of a plane and bytes of a row.
MOST_PADDED_AXES = 3


def _check(graph: Graph, op: Pad) -> None:
    if len(_padded_levels(graph, op)) > MOST_PADDED_AXES:
        raise UnsupportedLayer(f"{op.name}: more than {MOST_PADDED_AXES} padded axes")


def _call(graph: Graph, step: Step, op: Pad) -> Call:
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


OPERATORS = (OperatorKernels(op=Pad, check=_check, kernels=always("pad_s8"), call=_call),)
