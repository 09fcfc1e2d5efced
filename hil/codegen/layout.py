"""Layout of a graph's buffers in one static arena, with given kernels.

A tensor lives from the operator that writes it to the last that reads it; scratch and expanded
weights live for their one operator. Buffers that are never alive together may share bytes. A
Reshape's output shares its input's buffer, an element-wise operator writes over an input that no
later operator reads, and an operator that keeps a state writes over it. A kernel's output may lie
over its input as far as its lead allows. States live for ever.

In a segment (`hil.segment`) all layers run in turns. A tensor between two of them is a ring of
rows, alive during all operators that run while it holds rows; a tensor that was whole before has
its rows of padding beside it; the output may lie over it as far as rows are free.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from compress.integer.cost import macs
from compress.ops import ElementWise, Reshape, activations_of, inputs_of, outputs_of, states_of
from compress.types import Graph
from hil.codegen.arena import alignment_bytes, end_bytes, needed_bytes, place
from hil.kernel_interface.limits import round_up
from hil.kernel_interface.operator_kernels import SAME_BYTE, Kernel
from hil.segment import Ring, Segment
from hil.types import Board, Buffer, Plan, Step


def lay_out(
    graph: Graph, board: Board, kernels: Sequence[Kernel], segments: Sequence[Segment] = ()
) -> Plan:
    """The plan with these kernels, one for each operator; those of segments make a row."""
    storage = _storage(graph, segments, alignment_bytes(board))
    tensors = [entry.buffer for entry in storage]
    scratch = _scratch(kernels, segments)
    expanded = [
        _buffer(f"weights of {op.name}", kernel.expanded_bytes, index)
        for index, (op, kernel) in enumerate(zip(graph.ops, kernels, strict=True))
    ]
    alignment = alignment_bytes(board)
    leads = _leads(graph, storage, kernels, segments)
    everything = place([*tensors, *filter(None, scratch + expanded)], alignment, leads)
    placed_tensors, placed = everything[: len(tensors)], iter(everything[len(tensors) :])
    placed_scratch, placed_expanded = _refilled(scratch, placed), _refilled(expanded, placed)
    used = [*filter(None, scratch)]
    without_expanded = place([*tensors, *used], alignment, leads) if any(expanded) else everything
    alone = place(tensors, alignment, leads) if used else without_expanded
    peaks = [alone[: len(tensors)], without_expanded, everything]
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
            for entry, whole in zip(storage, placed_tensors, strict=True)
            for buffer in [entry.without_padding(whole)]
            for index in entry.tensors
        },
        tensors_bytes=min(arena),
        kernels_bytes=min(arena[1:]),
        arena_bytes=arena[2],
        segments=tuple(segments),
    )


def _leads(
    graph: Graph,
    storage: Sequence[_Storage],
    kernels: Sequence[Kernel],
    segments: Sequence[Segment],
) -> dict[tuple[int, int], int]:
    """Bytes by which an output has to start before the input that it may lie over.

    Keys are positions in `storage` of output and input. The input must not be read later, and the
    output not be there earlier.
    """
    home = {index: i for i, entry in enumerate(storage) for index in entry.tensors}
    in_segments = {index for s in segments for index in range(s.first, s.last + 1)}
    leads = {}
    for number, (op, kernel) in enumerate(zip(graph.ops, kernels, strict=True)):
        if kernel.lead_bytes is None or number in in_segments:
            continue
        output, source = home[outputs_of(op)[0]], home[inputs_of(op)[0]]
        dies = storage[source].buffer.last_op == number and not storage[source].is_kept
        if output != source and dies and storage[output].buffer.first_op == number:
            ahead = storage[output].padding_bytes - storage[source].padding_bytes
            if kernel.lead_bytes != SAME_BYTE:
                leads[output, source] = max(0, kernel.lead_bytes + ahead)
            elif ahead == 0:
                leads[output, source] = SAME_BYTE
    for segment in segments:
        for source in segment.sources:
            place, into = storage[home[source]], storage[home[segment.output]]
            dies = place.buffer.last_op == segment.last and not place.is_kept
            if place != into and dies and into.buffer.first_op == segment.first:
                lead = _segment_lead(graph, segment, source, into, place)
                leads[home[segment.output], home[source]] = lead
    return leads


def _segment_lead(
    graph: Graph, segment: Segment, source: int, into: _Storage, place: _Storage
) -> int:
    """The bytes by which a segment's output has to start before one of its sources."""
    top, _ = segment.sources[source]
    out_row, row = _row_bytes(graph, segment.output), _row_bytes(graph, source)
    first = place.padding_bytes - top * row
    leads = (
        into.padding_bytes + written * out_row - first - free * row
        for written, free in segment.lead_rows[source]
    )
    return max(0, 0, *leads)


def _row_bytes(graph: Graph, tensor: int) -> int:
    shape = graph.tensors[tensor].shape
    return graph.tensors[tensor].size_bytes // shape[1]


def _scratch(kernels: Sequence[Kernel], segments: Sequence[Segment]) -> list[Buffer | None]:
    """The scratch of each operator; sums of rows are kept from turn to turn of a segment."""
    scratch = [
        _buffer(f"scratch of {kernel.name}", kernel.scratch_bytes, index)
        for index, kernel in enumerate(kernels)
    ]
    for segment in segments:
        for layer in segment.layers:
            own = scratch[layer.index]
            if layer.sums and own is not None:
                scratch[layer.index] = replace(own, first_op=segment.first, last_op=segment.last)
    return scratch


def _buffer(name: str, size_bytes: int, index: int) -> Buffer | None:
    """A buffer, not placed yet, that is alive during operator `index` only; None if empty."""
    return Buffer(name, 0, size_bytes, index, index) if size_bytes else None


def _refilled(buffers: list[Buffer | None], placed: Iterator[Buffer]) -> list[Buffer | None]:
    """`buffers` with each that is not None replaced by the next of `placed`."""
    return [next(placed) if buffer else None for buffer in buffers]


@dataclass(frozen=True, slots=True)
class _Storage:
    """A buffer and the indices of the tensors that share it; kept: read after the last operator.

    Before the tensor are `padding_bytes`, in front of its first row.
    """

    tensors: tuple[int, ...]
    buffer: Buffer
    is_kept: bool
    padding_bytes: int = 0
    below_bytes: int = 0

    def without_padding(self, placed: Buffer) -> Buffer:
        """The tensor's part of the buffer, which was placed."""
        more = self.padding_bytes + self.below_bytes
        if not more:
            return placed
        offset = placed.offset_bytes + self.padding_bytes
        return replace(placed, offset_bytes=offset, size_bytes=placed.size_bytes - more)


def _storage(graph: Graph, segments: Sequence[Segment], alignment: int) -> list[_Storage]:
    """The activations' buffers, not placed yet; Reshapes and in-place operators share one."""
    ops = graph.ops
    in_segments = {index: s for s in segments for index in range(s.first, s.last + 1)}
    rings = {tensor: ring for s in segments for tensor, ring in s.rings.items()}
    last_use = dict.fromkeys(graph.sources, 0)
    for index, op in enumerate(ops):
        segment = in_segments.get(index)
        until = index if segment is None else segment.last
        last_use.update(dict.fromkeys(activations_of(op), until))
    # Outputs and states are read after the last operator: no operator may overwrite them.
    last_use.update(dict.fromkeys(graph.results, len(ops)))

    groups = [[source] for source in graph.sources]
    group_of = {group[0]: group for group in groups}
    first_op = dict.fromkeys(graph.sources, 0)
    for index, op in enumerate(ops):
        outputs = outputs_of(op)
        home: list[int] | None = None
        if index in in_segments:
            ring = rings.get(outputs[0])
            home = None if ring is None else group_of.get(ring.shared)
        elif isinstance(op, Reshape):
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
                first_op[output] = in_segments[index].first if index in in_segments else index
            place.append(output)
            group_of[output] = place
    return [
        _entry(graph, group, first_op[group[0]], last_use, rings, segments, alignment)
        for group in groups
    ]


def _entry(
    graph: Graph,
    group: Sequence[int],
    first_op: int,
    last_use: Mapping[int, int],
    rings: Mapping[int, Ring],
    segments: Sequence[Segment],
    alignment: int,
) -> _Storage:
    """The buffer of the tensors of a group: a ring of rows, or whole with the padding beside it."""
    name = " = ".join(graph.tensors[tensor].name for tensor in group)
    ring = rings.get(group[0])
    if ring is not None:
        size_bytes = ring.rows * _row_bytes(graph, ring.tensor)
        return _Storage(
            tuple(group), Buffer(name, 0, size_bytes, ring.first_op, ring.last_op), False
        )
    above = below = 0
    for segment in segments:
        for tensor in group:
            if tensor in segment.sources:
                row_bytes = _row_bytes(graph, tensor)
                top, bottom = (rows * row_bytes for rows in segment.sources[tensor])
                above, below = max(above, round_up(top, alignment)), max(below, bottom)
    last = max(last_use[tensor] for tensor in group)
    size_bytes = max(graph.tensors[tensor].size_bytes for tensor in group)
    return _Storage(
        tensors=tuple(group),
        buffer=Buffer(name, 0, above + size_bytes + below, first_op, min(last, len(graph.ops) - 1)),
        is_kept=last == len(graph.ops),
        padding_bytes=above,
        below_bytes=below,
    )


def bytes_by_operator(
    graph: Graph, board: Board, kernels: Sequence[Kernel], segments: Sequence[Segment] = ()
) -> list[int]:
    """The bytes that each operator needs in the arena, whatever the placement."""
    alignment = alignment_bytes(board)
    storage = _storage(graph, segments, alignment)
    expanded = (_buffer(k.name, k.expanded_bytes, index) for index, k in enumerate(kernels))
    buffers = [entry.buffer for entry in storage]
    buffers += filter(None, (*_scratch(kernels, segments), *expanded))
    return needed_bytes(buffers, alignment, _leads(graph, storage, kernels, segments))


def bytes_of_kernels(
    graph: Graph, board: Board, options: Sequence[Sequence[Kernel]]
) -> list[list[int]]:
    """The bytes that each operator needs with each of its kernels, on whole tensors.

    No operator's depend on the kernels of others: all are asked for at once.
    """
    needs: list[list[int]] = [[] for _ in options]
    for rank in range(max(map(len, options), default=0)):
        kernels = [known[min(rank, len(known) - 1)] for known in options]
        for own, known, needed in zip(
            needs, options, bytes_by_operator(graph, board, kernels), strict=True
        ):
            if rank < len(known):
                own.append(needed)
    return needs
