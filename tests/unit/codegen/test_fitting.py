"""Plans within a limit of RAM: the fastest of those that fit, else the smallest."""

from __future__ import annotations

import math

import pytest

from compress.ops import Padding
from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from hil.board import load_board
from hil.codegen.fitting import fitting_plan
from hil.codegen.plan import make_plan

M4 = load_board("m4")


@pytest.fixture(scope="module")
def graph() -> Graph:
    """Maps that are large at first, of which rows are enough."""
    b = GraphBuilder(seed=1)
    x = b.input((24, 24, 3))
    x = b.conv(x, 16, stride=(2, 2), padding=Padding(1, 1, 1, 1))
    for units in (24, 32):
        x = b.conv(b.depthwise(x, padding=Padding(1, 1, 1, 1)), units, (1, 1))
    return b.finish(b.average_pool(x, (12, 12)))


def test_without_need_the_plan_is_the_fastest(graph: Graph) -> None:
    fastest = make_plan(graph, M4)
    for limit in (math.inf, fastest.arena_bytes):
        assert fitting_plan(graph, M4, "flash", limit).arena_bytes == fastest.arena_bytes


def test_a_limit_is_kept_as_long_as_a_plan_fits(graph: Graph) -> None:
    fastest, smallest = make_plan(graph, M4), make_plan(graph, M4, "ram")
    assert smallest.arena_bytes < 0.8 * fastest.arena_bytes
    limits = range(smallest.arena_bytes, fastest.arena_bytes, 200)
    found = [fitting_plan(graph, M4, "flash", limit) for limit in limits]
    assert all(plan.arena_bytes <= limit for plan, limit in zip(found, limits, strict=True))
    assert len({plan.arena_bytes for plan in found}) > 2  # with more RAM, a larger one


def test_the_limit_of_a_plans_own_arena_gives_it_again(graph: Graph) -> None:
    limit = make_plan(graph, M4).arena_bytes - 1
    plan = fitting_plan(graph, M4, "flash", limit)
    again = fitting_plan(graph, M4, "flash", plan.arena_bytes)
    assert [step.kernel for step in again.steps] == [step.kernel for step in plan.steps]
    assert again.segments == plan.segments


def test_where_none_fits_it_is_the_smallest(graph: Graph) -> None:
    plan = fitting_plan(graph, M4, "flash", 1)
    assert plan.arena_bytes <= make_plan(graph, M4, "ram").arena_bytes
