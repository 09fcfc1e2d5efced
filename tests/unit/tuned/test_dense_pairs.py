"""Pairs of units: what is packed can be read back, and layers without a proof are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from hil.board import load_board
from hil.tuned.dense_pairs import KERNELS, pack_paired_units, unpack_paired_units
from hil.tuned.requantize import Channels


@given(st.integers(1, 9), st.integers(1, 21), st.integers(0, 2**32 - 1))
def test_packing_has_an_inverse(units: int, inputs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-128, 128, (units, inputs)).astype(np.int64)
    bias = rng.integers(-(2**31), 2**31, units).astype(np.int64)
    words = pack_paired_units(Channels(weights, bias, bias, bias, bias, None))
    got_weights, got_bias = unpack_paired_units(words, units, inputs)
    np.testing.assert_array_equal(got_weights, weights)
    np.testing.assert_array_equal(got_bias, bias)


def dense(**options: object) -> Graph:
    b = GraphBuilder(seed=4)
    return b.finish(b.fully_connected(b.input((1, 12)), 6, **options))  # type: ignore[arg-type]


def names(graph: Graph, board: str = "m4") -> list[str]:
    (op,) = graph.ops
    return [k.name for one in KERNELS for k in one.kernels(graph, op, load_board(board))]


def test_layers_of_int8_are_taken_on_cores_with_dsp() -> None:
    assert names(dense()) == ["fully_connected_pairs_s8"]
    assert not names(dense(), "m3")
    assert not names(dense(), "m55")


@pytest.mark.parametrize("options", [{"weight_bits": 4}, {"gain": 1e-6}], ids=str)
def test_layers_without_a_proof_are_left_to_other_kernels(options: dict[str, object]) -> None:
    assert not names(dense(**options))
