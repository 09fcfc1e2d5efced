"""Winograd's transformed filters are packed whole, and four times a sum comes out of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from compress.ops import Conv2D
from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from hil.board import load_board
from hil.kernels.choice import candidates
from hil.tuned.winograd import KERNELS, pack_filters, transformed_filters, unpack_filters
from hil.types import Board

M4 = load_board("m4")
# The other matrices of F(2x2, 3x3): of inputs and of outputs.
OF_INPUTS = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
OF_OUTPUTS = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])

weights = st.tuples(st.integers(4, 9), st.integers(1, 3)).flatmap(
    lambda size: arrays.arrays(
        np.int64, (size[0], 3, 3, 4 * size[1]), elements=st.integers(-128, 127)
    )
)


@given(weights)
def test_unpacking_is_the_inverse_of_packing(values: np.ndarray) -> None:
    filters = transformed_filters(values)
    assert np.abs(filters).max(initial=0) < 2**15
    np.testing.assert_array_equal(unpack_filters(pack_filters(filters), len(values)), filters)


@given(weights, st.integers(0, 2**32 - 1))
def test_outputs_are_four_times_the_sums(values: np.ndarray, seed: int) -> None:
    inputs = np.random.default_rng(seed).integers(-128, 128, (4, 4, values.shape[3]))
    tile = np.einsum("ai,ijc,bj->abc", OF_INPUTS, inputs, OF_INPUTS).reshape(16, -1)
    products = np.einsum("opc,pc->op", transformed_filters(values), tile).reshape(-1, 4, 4)
    outputs = np.einsum("ai,oij,bj->oab", OF_OUTPUTS, products, OF_OUTPUTS)
    for row in range(2):
        for column in range(2):
            window = inputs[row : row + 3, column : column + 3]
            sums = np.einsum("oijc,ijc->o", values, window)
            np.testing.assert_array_equal(outputs[:, row, column], 4 * sums)


def conv(units: int = 8, depth: int = 16, **options: object) -> Graph:
    b = GraphBuilder(seed=1)
    return b.finish(b.conv(b.input((6, 6, depth)), units, **options))  # type: ignore[arg-type]


def kernels(graph: Graph, board: Board = M4) -> list[str]:
    (op,) = graph.ops
    return [kernel.name for one in KERNELS for kernel in one.kernels(graph, op, board)]


def test_it_is_a_candidate_only_where_nothing_is_saved() -> None:
    graph = conv()
    assert kernels(graph) == ["conv_winograd"]
    for saves in ("flash", "ram"):
        names = [kernel.name for kernel in candidates(graph, graph.ops[0], M4, saves)]
        assert "conv_winograd" not in names
    first = next(iter(candidates(graph, graph.ops[0], M4, "nothing")))
    assert first.name == "conv_winograd"


@pytest.mark.parametrize(
    "graph",
    [
        conv(kernel=(3, 2)),
        conv(stride=(1, 2)),
        conv(dilation=(1, 2)),
        conv(groups=2),
        conv(depth=8),
        conv(units=3),
        conv(weight_bits=4),
        conv(gain=1e-6),
    ],
    ids=("filter", "stride", "dilation", "groups", "few", "units", "int4", "multiplier"),
)
def test_layers_without_a_proof_are_left_to_other_kernels(graph: Graph) -> None:
    assert not kernels(graph)


def test_sums_that_leave_int32_times_four_are_refused() -> None:
    graph = conv()
    (op,) = graph.ops
    assert isinstance(op, Conv2D)
    tensors = list(graph.tensors)
    bias = tensors[op.bias]
    tensors[op.bias] = replace(bias, data=np.full(bias.shape, 2**29, np.int32))
    # A scale that keeps the channels from being constant.
    tensors[op.output] = replace(tensors[op.output], scales=(1e4,), zero_point=-100)
    assert not kernels(replace(graph, tensors=tuple(tensors)))


@pytest.mark.parametrize("name", ["m0", "m3", "m55"])
def test_other_cores_are_left_to_other_kernels(name: str) -> None:
    assert not kernels(conv(), load_board(name))
