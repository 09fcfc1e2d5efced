"""Removal of tensors and PADs that nothing reads."""

from __future__ import annotations

from collections.abc import Sequence

from compress.ops import Op, Pad, constants_of, inputs_of, renumbered
from compress.types import Graph


def referenced(graph: Graph) -> list[int]:
    """Indices of the tensors that operators refer to, and of input and output, in order."""
    used = {graph.input, graph.output}
    for op in graph.ops:
        used.update(inputs_of(op), constants_of(op), (op.output,))
    return sorted(used)


def referenced_only(graph: Graph) -> Graph:
    """The same graph without the tensors that no operator refers to; order is kept."""
    ordered = referenced(graph)
    index = {old: new for new, old in enumerate(ordered)}
    return Graph(
        name=graph.name,
        tensors=tuple(graph.tensors[i] for i in ordered),
        ops=tuple(renumbered(op, index) for op in graph.ops),
        input=index[graph.input],
        output=index[graph.output],
    )


def without_unread_pads(ops: Sequence[Op], output: int) -> list[Op]:
    """`ops` without each Pad whose readers all do the padding themselves."""
    kept: list[Op] = []
    read = {output}
    for op in reversed(ops):
        if not isinstance(op, Pad) or op.output in read:
            kept.append(op)
            read.update(inputs_of(op))
    return kept[::-1]
