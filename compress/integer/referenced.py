"""Removal of tensors and PADs that nothing reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from compress.ops import Op, Pad, activations_of, constants_of, inputs_of, renumbered
from compress.types import Graph


def referenced(graph: Graph) -> list[int]:
    """Indices of the tensors that operators refer to, of inputs, outputs and states, in order."""
    used = {*graph.sources, *graph.results}
    for op in graph.ops:
        used.update(activations_of(op), constants_of(op))
    return sorted(used)


def referenced_only(graph: Graph) -> Graph:
    """The same graph without the tensors that nothing refers to; order is kept."""
    ordered = referenced(graph)
    index = {old: new for new, old in enumerate(ordered)}
    return replace(
        graph,
        tensors=tuple(graph.tensors[i] for i in ordered),
        ops=tuple(renumbered(op, index) for op in graph.ops),
        inputs=tuple(index[i] for i in graph.inputs),
        outputs=tuple(index[i] for i in graph.outputs),
        variables=tuple(
            replace(variable, read=index[variable.read], written=index[variable.written])
            for variable in graph.variables
        ),
    )


def without_unread_pads(ops: Sequence[Op], results: Iterable[int]) -> list[Op]:
    """`ops` without each Pad whose readers all do the padding themselves.

    `results` are the tensors that are read after the last operator.
    """
    kept: list[Op] = []
    read = set(results)
    for op in reversed(ops):
        if not isinstance(op, Pad) or op.output in read:
            kept.append(op)
            read.update(inputs_of(op))
    return kept[::-1]
