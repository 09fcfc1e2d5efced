"""Layers that are computed row by row equal the reference bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from compress.integer import reference
from compress.ops import Conv2D
from compress.types import Graph, Samples
from helpers.row_graphs import random_chain
from hil.board import load_board, without_limits
from hil.codegen.build import build
from hil.codegen.plan import KernelChoice
from hil.codegen.render import render
from hil.codegen.row_segments import row_kernels
from hil.codegen.segments import Candidates, cheapest, find_runs, plan_of
from hil.errors import Mismatch
from hil.kernels.choice import all_candidates
from hil.measure.measure import measure
from hil.measure.profile import measure_layers
from hil.target.open import open_target
from hil.target.target import Target
from hil.types import Board, Plan


@pytest.fixture(scope="module", params=("m4", "m7", "m33"))
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    opened = open_target(without_limits(load_board(request.param)))
    yield opened
    opened.close()


def streamed(graph: Graph, board: Board, kernel: int) -> Plan:
    """A plan with as many layers in segments as can be, each with one of its kernels."""
    options = [all_candidates(graph, op, board, "ram") for op in graph.ops]
    rows = row_kernels(graph, board, "ram", "tuned")
    costs = {(i, k): 10**6 for i, known in enumerate(options) for k in known}
    row_costs = {
        (i, k): (rank - kernel) % len(known)
        for i, known in rows.kernels.items()
        for rank, k in enumerate(known)
    }
    candidates = Candidates(graph, board, options, costs, rows, row_costs)
    limit = 10**6
    runs = cheapest(find_runs(candidates), len(options), limit)
    assert runs is not None
    return plan_of(candidates, runs, limit)


def samples_of(graph: Graph, seed: int) -> Samples:
    shape = graph.input_tensor.shape[1:]
    rng = np.random.default_rng(seed)
    inputs = rng.integers(-128, 128, (4, *shape)).astype(np.int8)
    inputs[1], inputs[2] = -128, 127
    outputs = reference.run(graph, inputs).reshape(len(inputs), -1)
    return Samples(inputs, outputs.argmax(1), outputs)


@pytest.mark.parametrize("seed", range(8))
def test_random_chains_are_bit_equal(target: Target, tmp_path: Path, seed: int) -> None:
    graph = random_chain(seed)
    plan = streamed(graph, target.board, seed % 4)
    assert plan.segments
    image = build(render(plan, target.board), target.board, tmp_path)
    measure(target, image, plan, samples_of(graph, seed))


def test_the_smallest_plan_is_bit_equal(target: Target, tmp_path: Path) -> None:
    graph = random_chain(3, 9)
    plan = KernelChoice("ram").plan(graph, target.board)
    image = build(render(plan, target.board), target.board, tmp_path)
    measure(target, image, plan, samples_of(graph, 0))


def test_a_wrong_value_names_the_layers_of_the_segment(target: Target, tmp_path: Path) -> None:
    right, wrong = random_chain(1), random_chain(1)
    plan = streamed(right, target.board, 0)
    (segment,) = plan.segments
    changed = wrong.ops[segment.first]
    assert isinstance(changed, Conv2D)
    bias = wrong.tensors[changed.bias].data
    assert bias is not None
    bias[:] += 2000
    image = build(render(streamed(wrong, target.board, 0), target.board), target.board, tmp_path)
    with pytest.raises(Mismatch) as caught:
        measure(target, image, plan, samples_of(right, 0))
    assert caught.value.layer == f"{changed.name} to {right.ops[segment.last].name}, row by row"


def test_the_profile_counts_each_layer_of_a_segment(target: Target, tmp_path: Path) -> None:
    graph = random_chain(1)
    plan = streamed(graph, target.board, 0)
    samples = samples_of(graph, 0)
    headline = build(render(plan, target.board), target.board, tmp_path / "headline")
    profile = build(render(plan, target.board, profile=True), target.board, tmp_path / "profile")
    whole = measure(target, headline, plan, samples).count
    layers = measure_layers(target, profile, plan, samples)
    assert [layer.name for layer in layers] == [op.name for op in graph.ops]
    assert all(layer.count > 0 for layer in layers)
    assert sum(layer.count for layer in layers) == pytest.approx(whole, rel=0.03)
