"""The choice of kernels by cycles and code: sizes as the linker sees them, and its goals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compress.ops import Op, Padding
from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from hil.board import load_board, without_limits
from hil.codegen.build import build
from hil.codegen.code_bytes import archive_sections, instance_bytes
from hil.codegen.plan import KernelChoice, KernelCosts
from hil.codegen.render import render
from hil.codegen.selection import call_of, select
from hil.kernel_interface.operator_kernels import Kernel
from hil.kernels.choice import all_candidates
from hil.tuned_kernels.registry import tuned_kernel
from hil.types import Board, Memory

M4 = without_limits(load_board("m4"))


def network() -> Graph:
    b = GraphBuilder(seed=1)
    x = b.input((8, 8, 3))
    x = b.conv(x, 16, padding=Padding(1, 1, 1, 1))
    for _ in range(3):
        x = b.conv(b.depthwise(x, padding=Padding(1, 1, 1, 1)), 16, (1, 1))
    return b.finish(b.average_pool(x, (8, 8)))


def invented(graph: Graph, board: Board = M4) -> KernelCosts:
    """Cycles that rise by a thousand from a candidate to the next listed one."""
    return KernelCosts(
        {
            (index, kernel): 100_000 + 1000 * rank
            for index, op in enumerate(graph.ops)
            for rank, kernel in enumerate(every_candidate(graph, op, board))
        },
        "cycles",
    )


def every_candidate(graph: Graph, op: Op, board: Board) -> list[Kernel]:
    """Those that save flash are the last."""
    memories: tuple[Memory, ...] = ("nothing", "flash")
    return list(dict.fromkeys(k for m in memories for k in all_candidates(graph, op, board, m)))


def chosen(saves: Memory, costs: KernelCosts, graph: Graph) -> dict[int, Kernel]:
    return dict(select(graph, M4, KernelChoice(saves, costs=costs)).preferred)


@pytest.mark.parametrize("saves", ["nothing", "flash"])
def test_bytes_of_code_are_those_that_the_linker_takes(saves: Memory, tmp_path: Path) -> None:
    graph = network()
    choice = select(graph, M4, KernelChoice(saves, costs=invented(graph)))
    image = build(render(choice.plan(graph, M4), M4), M4, tmp_path)
    sections = archive_sections(M4)
    calls = [call_of(graph, index, kernel) for index, kernel in choice.preferred.items()]
    names = {str(field) for call in calls for field in (call.values.get("function"),) if field}
    names |= {f.value for c in calls for _, g in c.values.get("groups", ()) for f in g} - {None}
    names |= {kernel.name for kernel in choice.preferred.values()}
    needed = sections.needed_by(str(name) for name in names)
    instances = {one.name: one for call in calls for one in call.instances}
    total = sum(sections.size_bytes[one] for one in needed)
    total += sum(instance_bytes(one, M4) for one in instances.values())
    assert abs(image.flash.parts["kernels"] - total) <= 64  # alignment


def test_for_speed_code_has_to_earn_its_bytes() -> None:
    """Kernels whose cycles differ little share code; a costly alternative is not taken."""
    graph = network()
    costs = invented(graph)
    shared = chosen("nothing", costs, graph)
    dear = {
        key: cost if key[1] in shared.values() else cost * 1000 for key, cost in costs.of.items()
    }
    assert chosen("nothing", replace(costs, of=dear), graph) == shared
    first = {
        index: all_candidates(graph, op, M4, "nothing")[0] for index, op in enumerate(graph.ops)
    }
    fast = {key: cost if first[key[0]] == key[1] else cost * 1000 for key, cost in costs.of.items()}
    assert chosen("nothing", replace(costs, of=fast), graph) == first


@pytest.mark.parametrize("saves", ["nothing", "flash"])
def test_no_layer_is_slower_than_with_kernels_that_are_not_tuned(saves: Memory) -> None:
    graph = network()
    costs = invented(graph)
    plain_first = {
        (index, kernel): 1 if tuned_kernel(graph.ops[index], kernel.name) is None else cost
        for (index, kernel), cost in costs.of.items()
    }
    for index, kernel in chosen(saves, replace(costs, of=plain_first), graph).items():
        assert tuned_kernel(graph.ops[index], kernel.name) is None


def test_without_costs_the_listed_order_stands() -> None:
    graph = network()
    plain = KernelChoice("nothing").plan(graph, M4)
    selected = select(graph, M4, KernelChoice("nothing")).plan(graph, M4)
    assert [step.kernel for step in selected.steps] == [step.kernel for step in plain.steps]


def test_to_save_flash_takes_less_than_speed(tmp_path: Path) -> None:
    graph = network()
    sizes = []
    for saves in ("flash", "nothing"):
        choice = select(graph, M4, KernelChoice(saves, costs=invented(graph)))
        plan = choice.plan(graph, M4)
        sizes.append(build(render(plan, M4), M4, tmp_path / saves).flash.total)
    assert sizes[0] < sizes[1]


def sparse() -> Graph:
    """A large layer of which one weight in sixteen is not 0, and one without zeros."""
    b = GraphBuilder(seed=2)
    x = b.conv(b.conv(b.input((4, 4, 64)), 128, (1, 1)), 8, (1, 1))
    first = next(t for t in b.tensors if t.data is not None and t.elements == 64 * 128)
    assert first.data is not None
    first.data.reshape(-1)[np.arange(64 * 128) % 16 != 0] = 0
    return b.finish(x)


@pytest.mark.parametrize(
    ("saves", "is_stored_small"), [("flash", True), ("ram", True), ("nothing", False)]
)
def test_weights_in_a_smaller_form_stay_so_where_memory_is_saved(
    saves: Memory, is_stored_small: bool
) -> None:
    """Tuned kernels that read them as they are are candidates, but not the first."""

    def small(name: str, expanded: object) -> bool:
        return name == "conv_short_sparse" or bool(expanded)

    graph = sparse()
    first = all_candidates(graph, graph.ops[0], M4, saves)
    assert any(tuned_kernel(graph.ops[0], kernel.name) is not None for kernel in first)
    assert small(first[0].name, first[0].expanded_bytes) is is_stored_small
    choice = select(graph, M4, KernelChoice(saves, costs=invented(graph)))
    step = choice.plan(graph, M4).steps[0]
    assert small(step.kernel, step.expanded) is (saves == "flash")  # to save RAM: its peak is there


def test_to_save_flash_weights_that_are_mostly_0_are_filled_in_a_panel_at_a_time() -> None:
    graph = sparse()
    same = dict.fromkeys(invented(graph).of, 1000)
    kernels = chosen("flash", KernelCosts(same, "cycles"), graph)
    assert [kernels[0].name, kernels[1].name] == ["conv_short_sparse", "conv_short"]


def test_the_choice_says_why_a_faster_kernel_is_not_taken() -> None:
    graph = network()
    plan = select(graph, M4, KernelChoice("flash", costs=invented(graph))).plan(graph, M4)
    reasons = [step for step in plan.steps if "for less code, flash or RAM" in step.choice]
    assert reasons
    fastest = select(graph, M4, KernelChoice("nothing")).plan(graph, M4)
    assert not any("for less" in step.choice for step in fastest.steps)
