"""Segments of layers are cut where that needs least RAM, or least cycles within a limit."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.ops import Padding
from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from helpers.row_graphs import random_chain
from hil.board import load_board
from hil.codegen.estimate import estimate
from hil.codegen.plan import KernelChoice, KernelCosts, make_plan, plans_by_ram
from hil.codegen.render import render
from hil.codegen.row_segments import row_kernels
from hil.codegen.segments import Candidates, Run, cheapest, find_runs, least_ram, plan_of
from hil.kernel_interface.operator_kernels import Kernel
from hil.kernels.choice import all_candidates
from hil.types import Memory

M4 = load_board("m4")
SAME = Padding(1, 1, 1, 1)


def chain() -> Graph:
    """A map of 16x16 through a convolution, a depthwise one, a 1x1 and a mean of all pixels."""
    b = GraphBuilder()
    x = b.conv(b.input((15, 15, 4)), 8, padding=SAME)
    x = b.conv(b.depthwise(x, padding=SAME), 8, (1, 1))
    return b.finish(b.average_pool(x, (15, 15)))


def test_a_segment_needs_its_rings_and_the_padding_of_its_source() -> None:
    plan = make_plan(chain(), M4, "ram")
    (segment,) = plan.segments
    assert (segment.first, segment.last) == (0, 3)
    row_bytes = 15 * 8
    # Three rows for the depthwise layer; its own row, over which the next layer writes.
    rings = {ring.shared: ring.rows for ring in segment.rings.values()}
    assert sorted(rings.values()) == [1, 3]
    source = 4 * 15 * (15 + 2)
    windows = 2 * 2 * 3 * 3 * 4  # of two pixels, 16 bits an input
    sums = 2 * 8
    needed = source + 3 * row_bytes + sums + max(windows, row_bytes)
    assert needed <= plan.arena_bytes <= needed + 4 * 4  # each buffer begins on a word


def test_layers_are_computed_row_by_row_for_ram_only() -> None:
    purposes: tuple[Memory, ...] = ("flash", "nothing")
    for saves in purposes:
        assert make_plan(chain(), M4, saves).segments == ()


def test_weights_of_rows_are_those_of_the_layers() -> None:
    plan, counted = make_plan(chain(), M4, "ram"), estimate(chain(), M4, "ram")
    assert plan.segments
    assert counted.arena_bytes == plan.arena_bytes
    # 8 filters of 3x3x4 and 1x1x8 with 16 bytes of scales each, 8 depthwise ones of 20 bytes.
    assert counted.weight_bytes == 8 * (36 + 16) + 8 * 20 + 8 * (8 + 16)


def test_cores_without_dsp_compute_whole_layers() -> None:
    for board in ("m0", "m3", "m55"):
        assert make_plan(chain(), load_board(board), "ram").segments == ()


def test_the_segment_is_one_function_with_a_case_for_each_layer() -> None:
    graph = chain()
    text = render(make_plan(graph, M4, "ram"), M4).files["model.c"]
    assert "static void run_rows_of_layers_0_to_3(void)" in text
    assert text.count("    run_rows_of_layers_0_to_3();") == 1
    for index, op in enumerate(graph.ops):
        comment, case = text.index(f"/* {index} {op.name}: 1x"), text.index(f"case {index}: {{")
        assert comment < case < comment + 500


@pytest.mark.parametrize("seed", range(4))
def test_no_other_cut_needs_less(seed: int) -> None:
    """Every way to cut a small network into runs, each with its smallest kernels, is placed."""
    graph = random_chain(seed, 4)
    options = [all_candidates(graph, op, M4, "ram") for op in graph.ops]
    rows = row_kernels(graph, M4, "ram", "tuned")
    candidates = Candidates(graph, M4, options, {}, rows, {})
    runs = {(run.first, run.end): run for run in find_runs(candidates)}
    count, arenas = len(graph.ops), []
    for cuts in range(count):
        for inner in combinations(range(1, count), cuts):
            pairs = list(zip((0, *inner), (*inner, count), strict=True))
            if all(pair in runs for pair in pairs):
                chosen = [runs[pair] for pair in pairs]
                limit = max(run.least_bytes for run in chosen)
                arenas.append(plan_of(candidates, chosen, limit).arena_bytes)
    found = least_ram(candidates)
    assert found is not None
    assert found.arena_bytes == min(arenas)


@st.composite
def random_runs(draw: st.DrawFn) -> tuple[int, list[Run]]:
    count = draw(st.integers(1, 5))
    runs = []
    for first in range(count):
        for end in range(first + 1, count + 1):
            if end == first + 1 or draw(st.booleans()):
                known = st.lists(
                    st.tuples(st.just(Kernel("k")), st.integers(1, 9), st.integers(0, 9)),
                    min_size=1,
                    max_size=3,
                )
                choices = tuple(tuple(draw(known)) for _ in range(first, end))
                runs.append(Run(first, end, None, choices))
    return count, runs


@settings(deadline=None)
@given(random_runs(), st.integers(1, 9))
def test_the_runs_of_least_cost_are_those_of_all_cuts(
    case: tuple[int, list[Run]], limit: int
) -> None:
    count, runs = case

    def least(first: int) -> float:
        if first == count:
            return 0.0
        after = [
            run.best(limit)[0] + least(run.end)
            for run in runs
            if run.first == first and run.least_bytes <= limit
        ]
        return min(after, default=float("inf"))

    found = cheapest(runs, count, limit)
    if found is None:
        assert least(0) == float("inf")
    else:
        assert sum(run.best(limit)[0] for run in found) == least(0)


def test_the_work_of_trying_segments_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a deep network only short segments are tried: none needs less than the best of all."""
    b = GraphBuilder()
    x = b.conv(b.input((7, 7, 4)), 4, padding=SAME)
    for _ in range(9):
        x = b.depthwise(x, padding=SAME)
    graph = b.finish(x)
    options = [all_candidates(graph, op, M4, "ram") for op in graph.ops]
    candidates = Candidates(graph, M4, options, {}, row_kernels(graph, M4, "ram", "tuned"), {})
    everything = find_runs(candidates)
    assert max(run.end - run.first for run in everything) == 10
    count = len(graph.ops)
    monkeypatch.setattr("hil.codegen.segments._MOST_WORK", 4 * count**2)
    short = find_runs(candidates)
    assert max(run.end - run.first for run in short) == 4
    kept = {(run.first, run.end): run.choices for run in everything}
    assert all(kept[run.first, run.end] == run.choices for run in short)
    monkeypatch.setattr("hil.codegen.segments._MOST_WORK", count**2)
    assert all(run.segment is None for run in find_runs(candidates))


def test_points_of_the_front_cost_more_and_need_less() -> None:
    graph = chain()
    options = [all_candidates(graph, op, M4, "ram") for op in graph.ops]
    rows = row_kernels(graph, M4, "ram", "tuned")
    whole = {(i, k): 1000 + 10 * n for i, ks in enumerate(options) for n, k in enumerate(ks)}
    row = {(i, k): 100 + 10 * n for i, ks in rows.kernels.items() for n, k in enumerate(ks)}
    plans = plans_by_ram(graph, M4, KernelChoice("ram", costs=KernelCosts(whole, "cycles", row)))
    arenas = [plan.arena_bytes for plan in plans]
    assert arenas == sorted(arenas, reverse=True)
    assert len(set(arenas)) == len(arenas) > 1
    assert not plans[0].segments
    assert plans[-1].segments
