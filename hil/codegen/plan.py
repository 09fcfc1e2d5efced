"""What runs where: a kernel per operator and a place in one static arena per buffer.

Tensors live from the operator that writes them to the last that reads them, scratch and expanded
weights for their one operator; buffers whose lives do not meet may share bytes. A Reshape is its
input under another name, and an element-wise operator writes over an input that nobody reads
afterwards. Placement is greedy (each buffer at the lowest gap that fits), tried in several orders,
best kept: Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference",
arXiv:2001.03288.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from compress.integer.cost import macs
from compress.ops import ElementWise, Op, Reshape, inputs_of
from compress.types import Graph
from hil.codegen.kernels import Kernel, alignment_bytes, choose
from hil.codegen.weight_storage import Weighted, stored_weights
from hil.types import Board, Buffer, Plan, Step


def make_plan(graph: Graph, board: Board) -> Plan:
    """Kernels and arena offsets for `graph` on `board`; the same graph gives the same plan.

    Input and output tensors are in the arena, too. Raises UnsupportedLayer, naming the layer,
    where an operator has no kernel.
    """
    kernels = [choose(graph, op, board) for op in graph.ops]
    storage = _storage(graph)
    scratch = [_scratch(index, kernel) for index, kernel in enumerate(kernels)]
    expanded = [_expanded(graph, index, op) for index, op in enumerate(graph.ops)]
    tensors = [entry.buffer for entry in storage]
    alignment = alignment_bytes(board)

    others = [buffer for buffer in scratch + expanded if buffer]
    everything = place(tensors + others, alignment)
    placed_tensors, placed = everything[: len(tensors)], iter(everything[len(tensors) :])
    placed_scratch = [next(placed) if buffer else None for buffer in scratch]
    placed_expanded = [next(placed) if buffer else None for buffer in expanded]
    return Plan(
        graph=graph,
        steps=tuple(
            Step(index, op, kernel.name, macs(graph, op), *buffers)
            for index, (op, kernel, *buffers) in enumerate(
                zip(graph.ops, kernels, placed_scratch, placed_expanded, strict=True)
            )
        ),
        tensors={
            index: buffer
            for entry, buffer in zip(storage, placed_tensors, strict=True)
            for index in entry.tensors
        },
        tensors_bytes=min(
            _round_up(_end(placed_tensors), alignment),
            _round_up(_end(place(tensors, alignment)), alignment),
        ),
        arena_bytes=_round_up(_end(everything), alignment),
    )


def lower_bound_bytes(buffers: Sequence[Buffer], alignment: int) -> int:
    """Most bytes alive at once: no placement can need less."""
    last = max(buffer.last_op for buffer in buffers)
    return max(
        sum(
            _round_up(buffer.size_bytes, alignment)
            for buffer in buffers
            if buffer.first_op <= op <= buffer.last_op
        )
        for op in range(last + 1)
    )


def place(buffers: Sequence[Buffer], alignment: int) -> list[Buffer]:
    """`buffers`, in the given order, at aligned offsets such that lives that meet do not overlap.

    Tries several orders, then repeatedly puts first what sticks out, until the peak is the lower
    bound or no order helps.
    """
    bound = lower_bound_bytes(buffers, alignment)
    indices = range(len(buffers))
    orders = [sorted(indices, key=lambda i: key(buffers[i])) for key in _sort_keys(buffers)]
    attempts = [(_place_in(buffers, order, alignment), order) for order in orders]
    best, order = min(attempts, key=lambda attempt: _end(attempt[0]))
    latest = best
    for _ in indices:
        if _end(best) <= bound:
            break
        top = max(indices, key=lambda i: latest[i].offset_bytes + latest[i].size_bytes)
        order = [top, *(i for i in order if i != top)]
        latest = _place_in(buffers, order, alignment)
        best = min(best, latest, key=_end)
    return best


def _place_in(buffers: Sequence[Buffer], order: Sequence[int], alignment: int) -> list[Buffer]:
    """Greedy: in `order`, each buffer at the lowest offset that is free while it lives."""
    placed: dict[int, Buffer] = {}
    for index in order:
        buffer, offset = buffers[index], 0
        for other in sorted(placed.values(), key=lambda b: b.offset_bytes):
            if other.last_op < buffer.first_op or buffer.last_op < other.first_op:
                continue
            if offset + buffer.size_bytes <= other.offset_bytes:
                break
            offset = max(offset, _round_up(other.offset_bytes + other.size_bytes, alignment))
        placed[index] = replace(buffer, offset_bytes=offset)
    return [placed[index] for index in range(len(buffers))]


def _sort_keys(buffers: Sequence[Buffer]) -> list[Callable[[Buffer], tuple[int, ...]]]:
    """Orders worth trying: by size, breadth (bytes alive beside it), area, life, start."""
    alive = [
        sum(b.size_bytes for b in buffers if b.first_op <= op <= b.last_op)
        for op in range(max(b.last_op for b in buffers) + 1)
    ]
    return [
        lambda b: (-b.size_bytes,),
        lambda b: (-max(alive[b.first_op : b.last_op + 1]), -b.size_bytes),
        lambda b: (-b.size_bytes * (b.last_op - b.first_op + 1),),
        lambda b: (b.first_op - b.last_op, -b.size_bytes),
        lambda b: (b.first_op, -b.size_bytes),
    ]


@dataclass(frozen=True, slots=True)
class _Storage:
    """One buffer and the indices of the tensors that are views of it."""

    tensors: tuple[int, ...]
    buffer: Buffer


def _storage(graph: Graph) -> list[_Storage]:
    """The activations' buffers, unplaced, with Reshapes and in-place operators merged."""
    ops = graph.ops
    last_use = {graph.input: 0}
    for index, op in enumerate(ops):
        last_use.update(dict.fromkeys((*inputs_of(op), op.output), index))
    # The output is read after the last operator: no operator may write over it.
    last_use[graph.output] = len(ops)

    groups = [[graph.input]]
    group_of = {graph.input: groups[0]}
    first_op = {graph.input: 0}
    for index, op in enumerate(ops):
        home: list[int] | None = None
        if isinstance(op, Reshape):
            home = group_of[op.input]
        elif isinstance(op, ElementWise):
            size_bytes = graph.tensors[op.output].size_bytes
            # An operand that repeats is smaller than the output.
            equal = [i for i in inputs_of(op) if graph.tensors[i].size_bytes == size_bytes]
            dying = (group_of[tensor] for tensor in equal)
            home = next((g for g in dying if max(map(last_use.__getitem__, g)) <= index), None)
        if home is None:
            home = []
            groups.append(home)
            first_op[op.output] = index
        home.append(op.output)
        group_of[op.output] = home

    return [
        _Storage(
            tuple(group),
            Buffer(
                name=" = ".join(graph.tensors[tensor].name for tensor in group),
                offset_bytes=0,
                size_bytes=max(graph.tensors[tensor].size_bytes for tensor in group),
                first_op=first_op[group[0]],
                last_op=min(max(last_use[tensor] for tensor in group), len(ops) - 1),
            ),
        )
        for group in groups
    ]


def _scratch(index: int, kernel: Kernel) -> Buffer | None:
    if not kernel.scratch_bytes:
        return None
    return Buffer(f"scratch of {kernel.name}", 0, kernel.scratch_bytes, index, index)


def _expanded(graph: Graph, index: int, op: Op) -> Buffer | None:
    """Room for the weights of `op`, where they are stored smaller than int8."""
    stored = stored_weights(graph, op) if isinstance(op, Weighted) else None
    if stored is None:
        return None
    return Buffer(f"weights of {op.name}", 0, stored.room_bytes, index, index)


def _end(buffers: Sequence[Buffer]) -> int:
    return max(buffer.offset_bytes + buffer.size_bytes for buffer in buffers)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
