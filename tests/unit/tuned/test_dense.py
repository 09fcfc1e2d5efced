"""FullyConnected takes panels where they are exact, and says where its output may lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from hil.board import load_board
from hil.codegen.plan import make_plan
from hil.kernels.choice import choose
from hil.tuned.dense import row_lead_bytes, unit_channels, unit_scales


def dense(inputs: int = 12, units: int = 6, rows: int = 1, per_channel: bool = False) -> Graph:
    b = GraphBuilder(seed=4)
    x = b.input((rows, inputs))
    return b.finish(b.fully_connected(x, units, per_channel=per_channel, by_row=True))


def with_weights(graph: Graph, values: np.ndarray) -> Graph:
    op = graph.ops[0]
    tensors = list(graph.tensors)
    weights = tensors[op.weights]  # type: ignore[attr-defined]
    tensors[op.weights] = replace(weights, data=values, shape=values.shape)  # type: ignore[attr-defined]
    return replace(graph, tensors=tuple(tensors))


def chosen(graph: Graph, board: str = "m4") -> str:
    return choose(graph, graph.ops[0], load_board(board), "nothing").name


@pytest.mark.parametrize("board", ["m4", "m7", "m33"])
@pytest.mark.parametrize(("inputs", "units"), [(1, 1), (3, 2), (640, 128), (37, 5)])
def test_any_number_of_inputs_and_units(board: str, inputs: int, units: int) -> None:
    assert chosen(dense(inputs, units), board) == "fully_connected_s8"


@pytest.mark.parametrize("board", ["m0", "m3", "m55"])
def test_cores_without_its_instructions_take_another_kernel(board: str) -> None:
    assert chosen(dense(), board) != "fully_connected_s8"


def test_a_half_word_that_overflows_is_left_to_pairs_of_units() -> None:
    values = np.ones((6, 12), np.int8)
    values[1, 3], values[0, 3] = -128, -1  # 256 * -128 - 1
    assert chosen(with_weights(dense(), values)) == "fully_connected_pairs_s8"
    values[0, 3] = 0
    assert chosen(with_weights(dense(), values)) == "fully_connected_s8"


def test_sums_beyond_23_bits_are_left_to_pairs_of_units() -> None:
    inputs = 2**23 // (128 * 127) + 1
    heavy = with_weights(dense(inputs, 4), np.full((4, inputs), 127, np.int8))
    assert chosen(heavy) == "fully_connected_pairs_s8"


def test_units_are_filled_up_with_the_last() -> None:
    graph = dense(inputs=6, units=6, per_channel=True)
    channels = unit_channels(graph, graph.ops[0])  # type: ignore[arg-type]
    assert channels is not None
    data = graph.tensors[graph.ops[0].weights].data  # type: ignore[attr-defined]
    np.testing.assert_array_equal(channels.weights[:6, :6], data)
    np.testing.assert_array_equal(channels.weights[6:, :6], data[[5, 5]])
    assert channels.weights.shape == (8, 8)
    assert not channels.weights[:, 6:].any()


def test_panels_share_the_scales_of_a_layer_with_one() -> None:
    shared, own = (
        unit_scales(unit_channels(graph, graph.ops[0]))  # type: ignore[arg-type]
        for graph in (dense(), dense(per_channel=True))
    )
    assert (shared[0].shape, shared[1]) == ((4, 3), -48)
    assert (own[0].shape, own[1]) == ((8, 3), 0)


@pytest.mark.parametrize(
    ("inputs", "units", "rows", "lead"), [(64, 12, 5, 12), (12, 16, 3, 24), (12, 12, 1, 12)]
)
def test_rows_may_be_written_over_rows_that_were_read(
    inputs: int, units: int, rows: int, lead: int
) -> None:
    graph = dense(inputs, units, rows)
    assert row_lead_bytes(graph, graph.ops[0]) == lead  # type: ignore[arg-type]
    # The definition: outputs up to row r lie before the inputs of row r.
    assert all((r + 1) * units <= lead + r * inputs for r in range(rows))
    plan = make_plan(graph, load_board("m4"))
    source, out = (plan.tensors[index] for index in (graph.input, graph.output))
    if rows > 1:
        assert source.offset_bytes - out.offset_bytes == lead
