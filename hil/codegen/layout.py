"""Layout of a graph's buffers in one static arena, with given kernels.

A tensor lives from the operator that writes it to the last that reads it; scratch and expanded
weights live for their one operator. Buffers that are never alive together may share bytes. A
Reshape's output shares its input's buffer, an element-wise operator writes over an input that no
later operator reads, and an operator that keeps a state writes over it. A kernel's output may lie
over its input as far as its lead allows. States live for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from compress.integer.cost import macs
from compress.ops import ElementWise, Reshape, activations_of, inputs_of, outputs_of, states_of
from compress.types import Graph
from hil.codegen.arena import alignment_bytes, end_bytes, needed_bytes, place
from hil.kernel_interface.limits import round_up
from hil.kernel_interface.operator_kernels import Kernel
from hil.types import Board, Buffer, Plan, Step


def lay_out(graph: Graph, board: Board, kernels: Sequence[Kernel]) -> Plan:
    """The plan with these kernels, one for each operator."""
    storage = _storage(graph)
    tensors = [entry.buffer for entry in storage]
    scratch = [
        _buffer(f"scratch of {kernel.name}", kernel.scratch_bytes, index)
        for index, kernel in enumerate(kernels)
    ]
    expanded = [
        _buffer(f"weights of {op.name}", kernel.expanded_bytes, index)
        for index, (op, kernel) in enumerate(zip(graph.ops, kernels, strict=True))
    ]
    alignment = alignment_bytes(board)
    leads = _leads(graph, storage, kernels)
    everything = place([*tensors, *filter(None, scratch + expanded)], alignment, leads)
    placed_tensors, placed = everything[: len(tensors)], iter(everything[len(tensors) :])
    placed_scratch, placed_expanded = _refilled(scratch, placed), _refilled(expanded, placed)
    without_expanded = place([*tensors, *filter(None, scratch)], alignment, leads)
    peaks = [place(tensors, alignment, leads), without_expanded, everything]
    arena = [round_up(end_bytes(buffers), alignment) for buffers in peaks]
    return Plan(
        graph=graph,
        steps=tuple(
            Step(
                index=index,
                op=op,
                kernel=kernels[index].name,
                macs=macs(graph, op),
                scratch=placed_scratch[index],
                expanded=placed_expanded[index],
            )
            for index, op in enumerate(graph.ops)
        ),
        tensors={
            index: buffer
            for entry, buffer in zip(storage, placed_tensors, strict=True)
            for index in entry.tensors
        },
        tensors_bytes=min(arena),
        kernels_bytes=min(arena[1:]),
        arena_bytes=arena[2],
    )


def _leads(
    graph: Graph, storage: Sequence[_Storage], kernels: Sequence[Kernel]
) -> dict[tuple[int, int], int]:
    """Bytes by which an output has to start before the input that it may lie over.

    Keys are positions in `storage` of output and input. The input must not be read later, and the
    output not be there earlier.
    """
    home = {index: i for i, entry in enumerate(storage) for index in entry.tensors}
    leads = {}
    for number, (op, kernel) in enumerate(zip(graph.ops, kernels, strict=True)):
        if kernel.lead_bytes is None:
            continue
        output, source = home[outputs_of(op)[0]], home[inputs_of(op)[0]]
        dies = storage[source].buffer.last_op == number and not storage[source].is_kept
        if output != source and dies and storage[output].buffer.first_op == number:
            leads[output, source] = kernel.lead_bytes
    return leads


def _buffer(name: str, size_bytes: int, index: int) -> Buffer | None:
    """A buffer, not placed yet, that is alive during operator `index` only; None if empty."""
    return Buffer(name, 0, size_bytes, index, index) if size_bytes else None


def _refilled(buffers: list[Buffer | None], placed: Iterator[Buffer]) -> list[Buffer | None]:
    """`buffers` with each that is not None replaced by the next of `placed`."""
    return [next(placed) if buffer else None for buffer in buffers]


@dataclass(frozen=True, slots=True)
class _Storage:
    """A buffer and the indices of the tensors that share it; kept: read after the last operator."""

    tensors: tuple[int, ...]
    buffer: Buffer
    is_kept: bool


def _storage(graph: Graph) -> list[_Storage]:
    """The activations' buffers, not placed yet; Reshapes and in-place operators share one."""
    ops = graph.ops
    last_use = dict.fromkeys(graph.sources, 0)
    for index, op in enumerate(ops):
        last_use.update(dict.fromkeys(activations_of(op), index))
    # Outputs and states are read after the last operator: no operator may overwrite them.
    last_use.update(dict.fromkeys(graph.results, len(ops)))

    groups = [[source] for source in graph.sources]
    group_of = {group[0]: group for group in groups}
    first_op = dict.fromkeys(graph.sources, 0)
    for index, op in enumerate(ops):
        outputs = outputs_of(op)
        home: list[int] | None = None
        if isinstance(op, Reshape):
            home = group_of[op.input]
        elif isinstance(op, ElementWise):
            size_bytes = graph.tensors[op.output].size_bytes
            # An operand that repeats is smaller than the output.
            equal = [i for i in inputs_of(op) if graph.tensors[i].size_bytes == size_bytes]
            dying = (group_of[tensor] for tensor in equal)
            home = next((g for g in dying if max(map(last_use.__getitem__, g)) <= index), None)
        kept = states_of(op)
        for output in outputs:
            place = group_of[kept[output]] if output in kept else home
            if place is None:
                place = []
                groups.append(place)
                first_op[output] = index
            place.append(output)
            group_of[output] = place

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
            is_kept=any(last_use[tensor] == len(ops) for tensor in group),
        )
        for group in groups
    ]


def bytes_by_operator(graph: Graph, board: Board, kernels: Sequence[Kernel]) -> list[int]:
    """The bytes that each operator needs in the arena, whatever the placement."""
    storage = _storage(graph)
    buffers = [entry.buffer for entry in storage]
    for index, kernel in enumerate(kernels):
        own = (kernel.scratch_bytes, kernel.expanded_bytes)
        buffers += filter(None, (_buffer(kernel.name, size, index) for size in own))
    return needed_bytes(buffers, alignment_bytes(board), _leads(graph, storage, kernels))
