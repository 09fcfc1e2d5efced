"""Candidates of a layer are timed on the board, once a shape, and the cheapest is taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compress.integer import reference
from compress.ops import constants_of
from compress.types import Graph, Samples
from helpers.graph_builder import GraphBuilder, random_inputs
from hil.board import load_board, without_limits, without_waits
from hil.codegen.plan import NO_COSTS, KernelChoice, KernelCosts, make_plan
from hil.codegen.render import render
from hil.errors import BenchError
from hil.kernel_interface.operator_kernels import Kernel
from hil.kernels.choice import all_candidates
from hil.measure.kernel_costs import time_kernels
from hil.measure.measure import BoardRunner
from hil.target.open import open_target
from hil.target.target import Target
from hil.types import Board

NOTHING = KernelChoice("nothing")
M4 = without_waits(without_limits(load_board("m4")))


def pointwise(channels: int = 16) -> Graph:
    b = GraphBuilder()
    return b.finish(b.conv(b.input((6, 6, channels)), channels, (1, 1)), "pointwise")


def with_zeros(graph: Graph) -> Graph:
    """The graph with every weight 0 but each fourth, so that they are stored in another form."""
    tensors = list(graph.tensors)
    for index in constants_of(graph.ops[0]):
        data = tensors[index].data
        if data is not None and data.dtype == np.int8:
            kept = np.where(np.arange(data.size).reshape(data.shape) % 4, 0, data)
            tensors[index] = replace(tensors[index], data=kept.astype(np.int8))
    return replace(graph, tensors=tuple(tensors))


def samples_of(graph: Graph) -> Samples:
    inputs = random_inputs(graph, 2)
    return Samples(inputs, np.zeros(2, np.int64), reference.run(graph, inputs).reshape(2, -1))


def no_target(board: Board) -> Target:
    raise BenchError("no board is opened for what is known")


def test_candidates_are_timed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    graph, shares = pointwise(), list[float]()
    with BoardRunner(M4, open_target) as runner:
        costs = time_kernels(graph, M4, runner, samples_of(graph), NOTHING, shares.append)
    assert shares == [number / len(shares) for number in range(len(shares))] != []
    assert costs.unit == "cycles"
    by_name: dict[str, int] = {}
    for (index, kernel), cost in costs.of.items():
        assert index == 0
        assert cost > graph.tensors[0].elements
        by_name.setdefault(kernel.name, cost)
    assert {"conv_pointwise", "arm_convolve_1x1_s8_fast", "arm_convolve_s8"} <= set(by_name)
    assert by_name["conv_pointwise"] < by_name["arm_convolve_1x1_s8_fast"]

    with BoardRunner(M4, no_target) as runner:
        again = time_kernels(graph, M4, runner, samples_of(graph), NOTHING)
        assert again.of == costs.of
        for other in (pointwise(20), with_zeros(graph)):
            with pytest.raises(BenchError):
                time_kernels(other, M4, runner, samples_of(other), NOTHING)

    plan = make_plan(graph, M4, "nothing", costs=costs)
    best = min(costs.of, key=costs.of.__getitem__)
    assert plan.steps[0].kernel == best[1].name
    text = render(plan, M4).files["model.c"]
    assert f"chosen at {costs.of[best]} cycles before" in text
    assert f"arm_convolve_1x1_s8_fast {by_name['arm_convolve_1x1_s8_fast']}" in text


def test_the_cheapest_is_taken_whatever_the_order() -> None:
    graph = pointwise()
    listed = make_plan(graph, M4, "nothing").steps[0]
    assert listed.kernel == "conv_pointwise"
    assert listed.choice.startswith("chosen before conv_pointwise with")
    last = {(0, k): 100 for k in _kernels(graph)}
    last[0, _kernels(graph)[-1]] = 99
    step = make_plan(graph, M4, "nothing", costs=KernelCosts(last, "instructions")).steps[0]
    assert step.kernel == _kernels(graph)[-1].name
    assert step.choice.startswith("chosen at 99 instructions before conv_pointwise 100")


def test_cmsis_nn_alone_has_no_tuned_kernel() -> None:
    plan = make_plan(pointwise(), M4, "nothing", "cmsis-nn", costs=NO_COSTS)
    assert plan.steps[0].kernel == "arm_convolve_1x1_s8_fast"


def test_less_scratch_is_taken_at_the_peak_where_ram_is_saved() -> None:
    """Ten pixels of 64 channels: scratch for all would be more than their input."""
    b = GraphBuilder()
    graph = b.finish(b.conv(b.input((2, 5, 64)), 64, (1, 1)), "peak")
    fast, small = (make_plan(graph, M4, saves) for saves in ("nothing", "ram"))
    assert fast.steps[0].kernel == "conv_pointwise"
    assert small.arena_bytes < fast.arena_bytes
    assert small.arena_bytes <= 640 + 2 * 3 * 64  # in place, two pixels at a time


def _kernels(graph: Graph) -> list[Kernel]:
    return list(all_candidates(graph, graph.ops[0], M4, "nothing"))
