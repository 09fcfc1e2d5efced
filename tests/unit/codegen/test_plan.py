"""Memory plans that are small enough to work out by hand."""

from __future__ import annotations

import pytest

from compress.integer.cost import peak_activation_bytes
from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from helpers.graph_examples import every_op
from helpers.state_graphs import delay_line, lstm_network, svdf_network
from hil.board import load_board
from hil.codegen.arena import lower_bound_bytes, place
from hil.codegen.plan import make_plan
from hil.codegen.states import state_copies
from hil.types import Buffer

M3, M4, M55 = load_board("m3"), load_board("m4"), load_board("m55")


def chain() -> Graph:
    """8 -> 64 -> 16 -> 32 bytes by 1x1 convolutions, which need no scratch."""
    b = GraphBuilder()
    x = b.input((1, 1, 8))
    for channels in (64, 16, 32):
        x = b.conv(x, channels, (1, 1))
    return b.finish(x)


def test_buffers_that_are_never_alive_together_share_bytes() -> None:
    plan = make_plan(chain(), M3)
    # 64 and 16 live together for the second layer; nothing else needs more than those 80 bytes.
    assert plan.arena_bytes == plan.tensors_bytes == 80
    by_name = {buffer.name: buffer for buffer in plan.tensors.values()}
    assert (by_name["input"].first_op, by_name["input"].last_op) == (0, 0)
    assert (by_name["conv_0"].first_op, by_name["conv_0"].last_op) == (0, 1)
    assert (by_name["conv_2"].first_op, by_name["conv_2"].last_op) == (2, 2)


def test_reshape_shares_the_buffer_of_its_input() -> None:
    b = GraphBuilder()
    x = b.input((2, 2, 3))
    y = b.reshape(x, (12,))
    z = b.fully_connected(y, 5)
    plan = make_plan(b.finish(z), M3)
    assert plan.tensors[x] is plan.tensors[y]
    assert plan.tensors[x].name == "input = reshape_0"
    assert (plan.tensors[x].first_op, plan.tensors[x].last_op) == (0, 1)
    assert plan.steps[0].kernel == "none"
    assert plan.arena_bytes == 12 + 8  # 5 outputs, rounded up to words


def test_element_wise_operator_writes_over_an_input_that_is_not_read_again() -> None:
    b = GraphBuilder()
    x = b.input((1, 1, 16))
    left, right = b.conv(x, 16, (1, 1)), b.conv(x, 16, (1, 1))
    total = b.add(left, right)
    out = b.softmax(b.requantize(total))
    plan = make_plan(b.finish(out), M3)
    assert plan.tensors[left] is plan.tensors[total] is plan.tensors[out]
    assert plan.tensors[right] is not plan.tensors[total]
    assert plan.arena_bytes == 48


def test_element_wise_operator_spares_an_input_that_is_read_again() -> None:
    b = GraphBuilder()
    x = b.input((1, 1, 16))
    y = b.requantize(x)
    z = b.add(x, y)
    plan = make_plan(b.finish(z), M3)
    assert plan.tensors[y] is not plan.tensors[x]
    assert plan.tensors[z] is plan.tensors[x]  # x is not read any more
    assert plan.arena_bytes == 32


def test_element_wise_operator_spares_an_input_that_lives_on_as_a_reshape() -> None:
    b = GraphBuilder()
    x = b.conv(b.input((1, 1, 8)), 16, (1, 1))
    flat = b.reshape(x, (16,))
    y = b.requantize(x)
    dense = b.fully_connected(flat, 16)
    z = b.add(b.reshape(y, (16,)), dense)
    plan = make_plan(b.finish(z), M3)
    assert plan.tensors[y] is not plan.tensors[x]


def test_output_read_by_an_operator_survives_to_the_end() -> None:
    b = GraphBuilder()
    x = b.conv(b.input((1, 1, 8)), 16, (1, 1))
    y = b.requantize(x)
    plan = make_plan(b.finish(x), M3)
    assert plan.tensors[y] is not plan.tensors[x]
    assert plan.tensors[x].last_op == 1


def test_scratch_lives_for_its_operator_only() -> None:
    b = GraphBuilder()
    x = b.conv(b.input((4, 4, 2)), 3, (3, 3))  # im2col: 2 columns of 18 int16
    x = b.conv(x, 2, (2, 2))  # 2 columns of 12 int16
    plan = make_plan(b.finish(x), M3, kernel_set="cmsis-nn")
    first, second = (step.scratch for step in plan.steps)
    assert first is not None
    assert second is not None
    assert (first.size_bytes, first.first_op, first.last_op) == (72, 0, 0)
    assert (second.size_bytes, second.first_op, second.last_op) == (48, 1, 1)
    # Layer 0: input 32, scratch 72, output 12. Later layers need less.
    assert plan.arena_bytes == 116
    assert plan.tensors_bytes == 44


def test_buffers_are_aligned_to_words_and_to_registers_with_mve() -> None:
    for board, alignment in ((M3, 4), (M4, 4), (M55, 16)):
        plan = make_plan(every_op(), board)
        scratch = [step.scratch for step in plan.steps if step.scratch]
        for buffer in [*plan.tensors.values(), *scratch]:
            assert buffer.offset_bytes % alignment == 0
        assert plan.arena_bytes % alignment == 0


def test_placement_reaches_the_lower_bound() -> None:
    """Five buffers of which at most 80 bytes are alive at a time."""
    lives = [(40, 0, 1), (20, 0, 3), (20, 1, 2), (40, 2, 4), (20, 3, 4)]
    buffers = [Buffer(f"b{i}", 0, size, a, z) for i, (size, a, z) in enumerate(lives)]
    placed = place(buffers, 4)
    assert lower_bound_bytes(buffers, 4) == 80
    assert max(b.offset_bytes + b.size_bytes for b in placed) == 80


def test_equal_buffers_are_placed_apart() -> None:
    twins = [Buffer("twin", 0, 8, 0, 1), Buffer("twin", 0, 8, 0, 1)]
    assert sorted(b.offset_bytes for b in place(twins, 4)) == [0, 8]


@pytest.mark.parametrize("graph", [lstm_network(), svdf_network()])
def test_an_operator_writes_over_its_state(graph: Graph) -> None:
    """Nothing is copied at the end of an inference."""
    plan = make_plan(graph, M4)
    for variable in graph.variables:
        assert plan.tensors[variable.read] is plan.tensors[variable.written]
    assert state_copies(plan) == []
    assert len(state_copies(make_plan(delay_line(), M4))) == 3
    largest = max(tensor.size_bytes for tensor in graph.tensors if tensor.data is None)
    assert largest < peak_activation_bytes(graph) <= plan.tensors_bytes
