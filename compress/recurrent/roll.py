"""Recurrences found again in the operators that `compress.recurrent.unroll` has written.

What a network's file holds is built from these operators' names, unrolled again and compared: only
operators that are equal one by one, and whose inner values nothing else reads, become a Recurrence.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from compress.arithmetic.recurrence import GATE_NAMES
from compress.ops import (
    FullyConnected,
    Op,
    Recurrence,
    RecurrentKind,
    Requantize,
    StridedSlice,
    constants_of,
    inputs_of,
    outputs_of,
    renumbered,
)
from compress.recurrent.unroll import unrolled
from compress.types import Graph, Tensor

_FIRST: Mapping[RecurrentKind, str] = {"gru": "reset", "lstm": "cell"}  # gates of one kind alone


@dataclass(frozen=True, slots=True)
class _Span:
    """The operators first .. end - 1 of a graph, which may be those of `op`."""

    first: int
    end: int
    op: Recurrence


def rolled(graph: Graph) -> Graph:
    """The graph with a Recurrence in place of the operators that it stands for.

    Tensors stay, also those that nothing refers to any more. The graph itself if there is none.
    """
    ops, position = list[Op](), 0
    for span in sorted(_spans(graph), key=lambda span: span.first):
        if span.first >= position and _is_equal(graph, span):
            ops += [*graph.ops[position : span.first], span.op]
            position = span.end
    return replace(graph, ops=(*ops, *graph.ops[position:])) if ops else graph


def _spans(graph: Graph) -> list[_Span]:
    """What looks like a recurrence by its names."""
    spans = []
    for kind, gate in _FIRST.items():
        known = re.compile(rf"(.+)\.0\.{gate}\.input")
        for op in graph.ops:
            match = known.fullmatch(op.name)
            if match is not None:
                name = match[1]
                indices = [
                    i
                    for i, other in enumerate(graph.ops)
                    if other.name == name or other.name.startswith(f"{name}.")
                ]
                first, end = indices[0], indices[-1] + 1
                part = graph.ops[first:end]
                found = _candidate(graph, name, kind, part) if len(indices) == len(part) else None
                if found is not None:
                    spans.append(_Span(first, end, found))
    return spans


def _candidate(
    graph: Graph, name: str, kind: RecurrentKind, ops: Sequence[Op]
) -> Recurrence | None:
    """The recurrence with the constants of the second step; None without such a step."""
    named = {op.name: op for op in ops}
    sides = [
        [named.get(f"{name}.1.{gate}.{side}") for gate in GATE_NAMES[kind]]
        for side in ("input", "recurrent")
    ]
    parts = [op for side in sides for op in side if isinstance(op, FullyConnected)]
    source, last = named.get(f"{name}.wide", named.get(f"{name}.0.x")), ops[-1]
    if len(parts) != 2 * len(GATE_NAMES[kind]) or not isinstance(source, Requantize | StridedSlice):
        return None
    cell = named.get(f"{name}.0.added")
    scales = [graph.tensors[parts[0].output].scale]
    scales += [graph.tensors[outputs_of(cell)[0]].scale] if cell is not None else []
    if not all(math.frexp(scale)[0] == 0.5 for scale in scales):
        return None
    logs = [math.frexp(scale)[1] - 1 for scale in scales]
    count = len(GATE_NAMES[kind])
    return Recurrence(
        name,
        source.input,
        tuple(op.weights for op in parts[:count]),
        tuple(op.weights for op in parts[count:]),
        tuple(op.bias for op in parts[:count]),
        tuple(op.bias for op in parts[count:]),
        outputs_of(last)[0],
        kind,
        *logs,
    )


def _is_equal(graph: Graph, span: _Span) -> bool:
    """True if the operators are those that the recurrence is defined as."""
    found = graph.ops[span.first : span.end]
    again = unrolled(replace(graph, ops=(span.op,)))
    if len(again.ops) != len(found):
        return False
    count = len(graph.tensors)
    stands_for = {index: index for index in range(count)}
    for ours, theirs in zip(again.ops, found, strict=True):
        made, stored = _tensors_of(ours), _tensors_of(theirs)
        if type(ours) is not type(theirs) or len(made) != len(stored):
            return False
        for index, other in zip(made, stored, strict=True):
            known = stands_for.setdefault(index, other)
            if index >= count and not _alike(again.tensors[index], graph.tensors[known]):
                return False
        if renumbered(ours, stands_for) != theirs:
            return False
    inner = {index for op in found for index in outputs_of(op)} - {span.op.output}
    others = (*graph.ops[: span.first], *graph.ops[span.end :])
    return inner.isdisjoint((*graph.results, *(i for op in others for i in inputs_of(op))))


def _tensors_of(op: Op) -> tuple[int, ...]:
    return (*inputs_of(op), *constants_of(op), *outputs_of(op))


def _alike(made: Tensor, stored: Tensor) -> bool:
    """True if the tensors differ by name only."""
    plain = [(t.shape, t.dtype, t.scales, t.zero_point, t.data is None) for t in (made, stored)]
    if plain[0] != plain[1]:
        return False
    return made.data is None or stored.data is None or np.array_equal(made.data, stored.data)
