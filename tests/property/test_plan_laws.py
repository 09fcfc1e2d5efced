"""No plan lets two live buffers overlap, on random graphs; lifetimes are computed anew here."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from compress.ops import ElementWise, Reshape, inputs_of
from compress.types import Graph
from helpers.graph_strategies import graphs
from helpers.graph_variants import with_weights
from hil.board import load_board
from hil.codegen.arena import place
from hil.codegen.plan import make_plan
from hil.kernel_interface.operator_kernels import SAME_BYTE
from hil.kernels.choice import all_candidates
from hil.types import Board, Buffer, Plan, Step

BOARDS = {name: load_board(name) for name in ("m3", "m4", "m55")}


def live_bytes(graph: Graph, plan: Plan, index: int) -> dict[int, range]:
    """Arena bytes of the tensors that must hold their value while operator `index` runs."""
    live = set(inputs_of(graph.ops[index]))
    later = {graph.output} | {t for op in graph.ops[index + 1 :] for t in inputs_of(op)}
    earlier = {graph.input} | {op.output for op in graph.ops[:index]}
    live |= later & earlier
    return {
        tensor: range(
            plan.tensors[tensor].offset_bytes,
            plan.tensors[tensor].offset_bytes + graph.tensors[tensor].size_bytes,
        )
        for tensor in live
    }


def lead_bytes(graph: Graph, step: Step, board: Board) -> int | None:
    """How much before its input the output of a step's kernel may begin; None if it must not."""
    scratch_bytes = step.scratch.size_bytes if step.scratch else 0
    chosen = [
        kernel
        for kernel in all_candidates(graph, step.op, board, "flash")
        if (kernel.name, kernel.scratch_bytes) == (step.kernel, scratch_bytes)
    ]
    return chosen[0].lead_bytes


def meet(a: range, b: range) -> bool:
    return a.start < b.stop and b.start < a.stop


def same_value(graph: Graph, a: int, b: int) -> bool:
    """True if only Reshapes lie between two tensors."""
    source = {op.output: op.input for op in graph.ops if isinstance(op, Reshape)}

    def origin(tensor: int) -> int:
        while tensor in source:
            tensor = source[tensor]
        return tensor

    return origin(a) == origin(b)


@settings(max_examples=80, deadline=None)
@given(graphs(), st.sampled_from(sorted(BOARDS)), st.booleans())
def test_live_values_do_not_meet(graph: Graph, board: str, small: bool) -> None:
    graph = with_weights(graph, 4, zeros=0.5) if small else graph
    plan = make_plan(graph, BOARDS[board])
    for index, (op, step) in enumerate(zip(graph.ops, plan.steps, strict=True)):
        live = live_bytes(graph, plan, index)
        for (a, bytes_a), (b, bytes_b) in combinations(live.items(), 2):
            assert same_value(graph, a, b) or not meet(bytes_a, bytes_b)

        start = plan.tensors[op.output].offset_bytes
        written = range(start, start + graph.tensors[op.output].size_bytes)
        needed_later = {graph.output} | {t for o in graph.ops[index + 1 :] for t in inputs_of(o)}
        needed_later -= {op.output}
        for tensor, held in live.items():
            element_wise = isinstance(op, ElementWise)
            if isinstance(op, Reshape) and same_value(graph, tensor, op.output):
                continue
            if element_wise and tensor in inputs_of(op) and held == written:
                assert not any(
                    same_value(graph, tensor, other) for other in needed_later - {op.output}
                )
                continue
            lead = lead_bytes(graph, step, BOARDS[board])
            if lead is not None and tensor == inputs_of(op)[0] and meet(held, written):
                assert not any(same_value(graph, tensor, other) for other in needed_later)
                ahead = held.start - written.start
                assert ahead == 0 if lead == SAME_BYTE else ahead >= lead
                continue
            assert not meet(held, written)

        apart = [written, *live.values()]
        for buffer in (step.scratch, step.expanded):
            if buffer:
                used = range(buffer.offset_bytes, buffer.offset_bytes + buffer.size_bytes)
                assert not any(meet(used, other) for other in apart)
                assert used.stop <= plan.arena_bytes
                apart.append(used)

    for tensor, buffer in plan.tensors.items():
        end = buffer.offset_bytes + graph.tensors[tensor].size_bytes
        assert 0 <= buffer.offset_bytes < end <= plan.arena_bytes
    largest = max(graph.tensors[tensor].size_bytes for tensor in plan.tensors)
    assert largest <= plan.tensors_bytes <= plan.arena_bytes


@st.composite
def buffer_lists(draw: st.DrawFn) -> list[Buffer]:
    ops = draw(st.integers(1, 12))
    lives = st.tuples(st.integers(0, ops - 1), st.integers(0, ops - 1), st.integers(1, 300))
    drawn = draw(st.lists(lives, min_size=1, max_size=14))
    return [Buffer("b", 0, size, min(a, z), max(a, z)) for a, z, size in drawn]


@settings(max_examples=80, deadline=None)
@given(buffer_lists(), st.sampled_from([4, 16]))
def test_placed_buffers_do_not_meet(buffers: list[Buffer], alignment: int) -> None:
    placed = place(buffers, alignment)
    assert [(b.size_bytes, b.first_op, b.last_op) for b in placed] == [
        (b.size_bytes, b.first_op, b.last_op) for b in buffers
    ]
    for a, b in combinations(placed, 2):
        if a.first_op <= b.last_op and b.first_op <= a.last_op:
            assert not meet(
                range(a.offset_bytes, a.offset_bytes + a.size_bytes),
                range(b.offset_bytes, b.offset_bytes + b.size_bytes),
            )
    assert all(b.offset_bytes % alignment == 0 and b.offset_bytes >= 0 for b in placed)
    peak = max(b.offset_bytes + b.size_bytes for b in placed)
    busiest = max(
        sum(b.size_bytes for b in buffers if b.first_op <= op <= b.last_op) for op in range(12)
    )
    apart = sum(-(-b.size_bytes // alignment) * alignment for b in buffers)
    assert busiest <= peak <= apart
