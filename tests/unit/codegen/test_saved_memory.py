"""Stored weights save flash, or flash only where that costs no RAM."""

from __future__ import annotations

import numpy as np

from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from hil.board import load_board
from hil.codegen.estimate import estimate
from hil.codegen.plan import make_plan
from hil.types import Buffer

M4 = load_board("m4")


def sparse_layers() -> Graph:
    """Small weights on a large map, then large weights on a pixel; half of them are zeros."""
    b = GraphBuilder()
    x = b.conv(b.input((16, 16, 8)), 8, (1, 1))
    x = b.average_pool(x, (16, 16), (16, 16))
    x = b.conv(x, 300, (1, 1))
    x = b.conv(x, 64, (1, 1))
    for tensor in b.tensors:
        if tensor.data is not None and tensor.dtype == "int8":
            tensor.data.reshape(-1)[::2] = 0
    return b.finish(x)


def test_weights_are_expanded_only_below_the_peak_of_the_tensors() -> None:
    graph = sparse_layers()
    small = make_plan(graph, M4, kernel_set="cmsis-nn")
    lean = make_plan(graph, M4, "ram", "cmsis-nn")
    assert small.arena_bytes > small.kernels_bytes
    assert lean.arena_bytes == lean.kernels_bytes == small.kernels_bytes
    expanded = [[step.expanded is not None for step in plan.steps] for plan in (small, lean)]
    # The first layer has the largest maps, the last the largest weights.
    assert expanded == [[True, False, True, True], [False, False, True, False]]


def test_tuned_kernels_that_read_weights_as_they_are_need_less_ram() -> None:
    """They write over their input; where flash counts, weights stay in the smaller form."""
    graph = sparse_layers()
    theirs, lean = make_plan(graph, M4, "ram", "cmsis-nn"), make_plan(graph, M4, "ram")
    assert lean.arena_bytes < 0.6 * theirs.arena_bytes
    assert all(step.expanded is not None for step in make_plan(graph, M4).steps[2:])


def test_the_parts_of_the_arena_add_up() -> None:
    plan = make_plan(sparse_layers(), M4, kernel_set="cmsis-nn")  # tuned ones work in place
    assert plan.tensors_bytes <= plan.kernels_bytes <= plan.arena_bytes
    largest = max(b.size_bytes for b in plan.tensors.values() if isinstance(b, Buffer))
    assert plan.tensors_bytes >= 2 * largest


def test_the_estimate_counts_weights_as_they_are_stored() -> None:
    dense = sum(t.elements for t in sparse_layers().tensors if t.dtype == "int8" and t.axis == 0)
    stored = estimate(sparse_layers(), M4).weight_bytes
    assert stored < dense + 12 * (8 + 300 + 64)
    assert np.isclose(stored, 0.625 * dense + 12 * (8 + 300 + 64), rtol=0.02)
