"""Weights of 4 bits are stored as bytes where cycles count, and only where they are few."""

from __future__ import annotations

import pytest

from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from hil.board import load_board
from hil.codegen.plan import KernelChoice
from hil.kernels.choice import all_candidates
from hil.types import Memory


def layer(outputs: int, bits: int) -> Graph:
    b = GraphBuilder(seed=3)
    x = b.input((6, 6, 16), 0.03, zero_point=-9)
    return b.finish(b.conv(x, outputs, weight_bits=bits))


def candidates(graph: Graph, saves: Memory) -> set[str]:
    found = all_candidates(graph, graph.ops[0], load_board("m4"), saves, "tuned")
    return {kernel.name for kernel in found if kernel.name.endswith("_unpacked")}


@pytest.mark.parametrize(
    ("outputs", "bits", "saves", "is_there"),
    [
        (28, 4, "nothing", True),  # 2,016 bytes, then 4,032
        (29, 4, "nothing", False),
        (8, 8, "nothing", False),
        (8, 4, "flash", False),
        (8, 4, "ram", False),
    ],
)
def test_few_weights_of_four_bits_may_become_bytes_for_speed(
    outputs: int, bits: int, saves: Memory, is_there: bool
) -> None:
    assert bool(candidates(layer(outputs, bits), saves)) == is_there


def test_a_search_keeps_them_as_they_are() -> None:
    plan = KernelChoice("flash").plan(layer(8, 4), load_board("m4"))
    assert not plan.steps[0].kernel.endswith("_unpacked")
