"""States of a network in C: where they are in the arena, and what they are before the first run."""

from __future__ import annotations

from typing import Any

import numpy as np

from compress.errors import UnsupportedLayer
from compress.types import Array, Graph
from hil.kernel_interface.call import Constant, array, c_type, safe
from hil.types import Plan


def states(plan: Plan) -> list[dict[str, Any]]:
    """What the templates need of each state: offset, bytes, and its first value.

    `fill` is the byte that the first value consists of, or else `constant` names an array.
    """
    graph = plan.graph
    return [
        {
            "read": plan.tensors[variable.read].offset_bytes,
            "bytes": graph.tensors[variable.read].size_bytes,
            "fill": int(_bytes(variable.initial)[0]),
            "constant": "" if _one_byte(variable.initial) else _name(number),
        }
        for number, variable in enumerate(graph.variables)
    ]


def state_copies(plan: Plan) -> list[dict[str, int]]:
    """The copies, in order, that make what an inference wrote the states of the next one.

    A state may become the last value of another, as in a delay line: that is copied first. Raises
    UnsupportedLayer for states that exchange their values.
    """
    places = [
        (plan.tensors[v.read].offset_bytes, plan.tensors[v.written].offset_bytes, v)
        for v in plan.graph.variables
    ]
    left = [place for place in places if place[0] != place[1]]
    copies = []
    while left:
        still_read = [written for _, written, _ in left]
        free = [place for place in left if place[0] not in still_read]
        if not free:
            names = ", ".join(plan.graph.tensors[v.read].name for _, _, v in left)
            raise UnsupportedLayer(f"states {names} exchange their values")
        for read, written, variable in free:
            size_bytes = plan.graph.tensors[variable.read].size_bytes
            copies.append({"read": read, "written": written, "bytes": size_bytes})
        left = [place for place in left if place not in free]
    return copies


def state_constants(graph: Graph) -> list[Constant]:
    """The arrays of first values that do not consist of one byte."""
    return [
        array(
            _name(number),
            c_type(graph.tensors[variable.read]),
            variable.initial,
            f"first value of {safe(graph.tensors[variable.read].name)}",
        )
        for number, variable in enumerate(graph.variables)
        if not _one_byte(variable.initial)
    ]


def _name(number: int) -> str:
    return f"state{number}_first"


def _bytes(values: Array) -> Array:
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8)


def _one_byte(values: Array) -> bool:
    found = _bytes(values)
    return bool((found == found[0]).all())
