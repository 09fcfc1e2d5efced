"""Pad: our own kernel, which moves and fills bytes."""

from __future__ import annotations

import numpy as np

from compress.errors import UnsupportedLayer
from compress.ops import Pad
from compress.types import Graph
from hil.kernel_interface.call import Call
from hil.kernel_interface.operator_kernels import OperatorKernels, always
from hil.types import Step

# pad_s8 loops over planes, rows of a plane and bytes of a row.
MOST_PADDED_AXES = 3


def _check(graph: Graph, op: Pad) -> None:
    _fill_byte(graph, op)
    if len(_padded_levels(graph, op)) > MOST_PADDED_AXES:
        raise UnsupportedLayer(f"{op.name}: more than {MOST_PADDED_AXES} padded axes")


def _call(graph: Graph, step: Step, op: Pad) -> Call:
    levels = [*_padded_levels(graph, op), (1, 0, 0), (1, 0, 0)]
    values = {
        "value": _fill_byte(graph, op),
        "row": levels[0],
        "plane": levels[1],
        "all": levels[2],
    }
    return Call("pad", values)


def _padded_levels(graph: Graph, op: Pad) -> list[tuple[int, int, int]]:
    """(extent, bytes before, bytes after) per padded axis, innermost first; other axes merged.

    The first extent is in bytes, the others are in padded elements of the level below.
    """
    element_bytes = np.dtype(graph.tensors[op.input].item).itemsize
    levels = [(element_bytes, 0, 0)]
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


def _fill_byte(graph: Graph, op: Pad) -> int:
    """The byte, as int8, that the padding consists of. Raises UnsupportedLayer if it has two."""
    fill = np.array([op.value], graph.tensors[op.input].item).view(np.int8)
    if (fill != fill[0]).any():
        raise UnsupportedLayer(
            f"{op.name}: padding with {op.value}; on int16, 0 and -1 are allowed"
        )
    return int(fill[0])


OPERATORS = (
    OperatorKernels(
        op=Pad,
        check=_check,
        kernels=always("pad_s8"),
        int16_kernels=always("pad_s8"),
        call=_call,
    ),
)
