"""The kernels for MVE on an emulated Cortex-M55 equal the reference bit for bit, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from compress.ops import Padding
from compress.types import Graph
from helpers.graph_builder import (
    NONE,
    RELU,
    RELU6,
    RELU_N1_TO_1,
    GraphBuilder,
    random_inputs,
    same_padding,
)
from helpers.on_target import assert_layers_equal
from hil.board import load_board, without_limits
from hil.codegen.plan import make_plan
from hil.kernel_interface.limits import round_up
from hil.kernel_interface.operator_kernels import Kernel
from hil.kernels.choice import all_candidates
from hil.target.open import open_target
from hil.target.target import Target
from hil.types import Plan

FINE = {"weight_scale": 0.002, "gain": 0.4}


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    opened = open_target(without_limits(load_board("m55")))
    yield opened
    opened.close()


def tuned(target: Target, graph: Graph, rank: int) -> list[Kernel]:
    """For each layer its candidate of this rank, of those of its first candidate's name."""
    chosen = []
    for op in graph.ops:
        known = all_candidates(graph, op, target.board, "flash")
        same = [kernel for kernel in known if kernel.name == known[0].name]
        chosen.append(same[min(rank, len(same) - 1)])
    return chosen


def assert_bit_equal(
    target: Target, graph: Graph, folder: Path, rank: int = 0, kernels: list[Kernel] | None = None
) -> set[str]:
    """All layers, on a random input and where it is at one end; returns the kernels' names."""
    chosen = tuned(target, graph, rank) if kernels is None else kernels
    plan = make_plan(graph, target.board, "flash", kernels=chosen)
    assert_plan_bit_equal(target, plan, folder)
    return {step.kernel for step in plan.steps}


def assert_plan_bit_equal(target: Target, plan: Plan, folder: Path) -> None:
    graph = plan.graph
    inputs = random_inputs(graph, 3, seed=2)
    inputs[1], inputs[2] = -128, 127
    assert_layers_equal(target, plan, folder, inputs)


def same(b: GraphBuilder, source: int, kernel: tuple[int, int], stride: tuple[int, int]) -> Padding:
    _, height, width, _ = b.tensors[source].shape
    vertical = same_padding(height, kernel[0], stride[0])
    return Padding(*vertical, *same_padding(width, kernel[1], stride[1]))


def convolutions() -> Graph:
    """Few channels, 16 and 32, multiples of 16 and others; odd rows; few and odd outputs."""
    b = GraphBuilder(seed=3)
    x = b.input((21, 19, 1), 0.02, zero_point=-128)
    for channels, kernel, stride, activation in (
        (3, (10, 4), (2, 1), RELU),
        (5, (3, 3), (1, 1), NONE),
        (16, (3, 3), (1, 1), RELU6),
        (16, (3, 3), (1, 1), RELU_N1_TO_1),
        (32, (1, 1), (1, 1), RELU),
        (13, (3, 2), (1, 1), NONE),
        (48, (2, 3), (1, 2), NONE),
        (2, (1, 1), (1, 1), NONE),
        (9, (3, 3), (3, 1), NONE),
        (1, (1, 1), (1, 1), NONE),
        (6, (1, 1), (2, 2), NONE),
    ):
        padding = same(b, x, kernel, stride)
        x = b.conv(x, channels, kernel, stride, padding=padding, activation=activation, **FINE)
    x = b.conv(x, 7, (2, 2), padding=Padding(3, 2, 4, 1), zero_point=-128, **FINE)
    return b.finish(x, "convolutions")


def dense_layers() -> Graph:
    b = GraphBuilder(seed=5)
    x = b.input((4, 40), 0.02, zero_point=7)
    x = b.fully_connected(x, 18, RELU, by_row=True, gain=0.5)
    x = b.fully_connected(x, 3, by_row=True, gain=0.5)
    x = b.reshape(x, (12,))
    for units, activation in (
        (130, RELU6),
        (16, NONE),
        (3, NONE),
        (33, RELU),
        (1, NONE),
        (8, NONE),
    ):
        x = b.fully_connected(x, units, activation, per_channel=units == 33, gain=0.5)
    return b.finish(x, "dense_layers")


def depthwise_layers(channels: int) -> Graph:
    b = GraphBuilder(seed=channels)
    x = b.input((17, 14, channels), 0.02, zero_point=-9)
    for kernel, stride, activation in (
        ((3, 3), (1, 1), RELU),
        ((3, 3), (2, 2), NONE),
        ((4, 4), (1, 1), RELU6),
        ((2, 3), (1, 1), RELU_N1_TO_1),
        ((1, 4), (1, 1), NONE),
        ((3, 1), (3, 1), RELU),
        ((3, 3), (1, 2), NONE),
    ):
        padding = same(b, x, kernel, stride)
        x = b.depthwise(
            x, 1, kernel, stride, padding=padding, activation=activation, zero_point=-128, gain=0.5
        )
    x = b.depthwise(x, 1, (3, 3), padding=Padding(2, 3, 3, 2), zero_point=40, gain=0.5)
    x = b.depthwise(x, 1, (2, 2), (4, 2), padding=Padding(0, 0, 1, 1), gain=0.5)
    return b.finish(x, "depthwise_layers")


def sums_and_pools() -> Graph:
    b = GraphBuilder(seed=8)
    x = b.input((13, 11, 6), 0.03, zero_point=-20)
    y = b.requantize(x, 0.05, zero_point=40)
    z = b.add(x, y, RELU, zero_point=-100, gain=0.6)
    z = b.add(y, z, zero_point=7)
    z = b.add(z, x, zero_point=7, subtract=True)
    z = b.average_pool(z, (3, 2), (1, 1), Padding(1, 1, 1, 0))
    z = b.average_pool(z, (1, 1), (1, 2))
    z = b.average_pool(z, (4, 3), (3, 2), Padding(2, 1, 1, 1), RELU)
    return b.finish(b.average_pool(z, b.tensors[z].shape[1:3]), "sums_and_pools")


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_convolutions_are_bit_equal(target: Target, tmp_path: Path, rank: int) -> None:
    assert assert_bit_equal(target, convolutions(), tmp_path, rank) == {"convolve_mve"}


def test_fully_connected_layers_are_bit_equal(target: Target, tmp_path: Path) -> None:
    names = assert_bit_equal(target, dense_layers(), tmp_path)
    assert names == {"convolve_mve", "fully_connected_mve", "none"}


@pytest.mark.parametrize(("channels", "rank"), [(5, 0), (8, 0), (20, 1), (35, 1)])
def test_depthwise_layers_are_bit_equal(
    target: Target, tmp_path: Path, channels: int, rank: int
) -> None:
    names = assert_bit_equal(target, depthwise_layers(channels), tmp_path, rank)
    assert names == {"depthwise_mve"}


def test_sums_and_pools_are_bit_equal(target: Target, tmp_path: Path) -> None:
    graph = sums_and_pools()
    kernels = []
    for op in graph.ops:
        known = {k.name: k for k in all_candidates(graph, op, target.board, "flash")}
        ours = [kernel for name, kernel in known.items() if name.endswith("_mve")]
        kernels.append((ours or list(known.values()))[0])
    names = assert_bit_equal(target, graph, tmp_path, kernels=kernels)
    assert names >= {"add_mve", "average_pool_mve"}


def at_leads(plan: Plan, kernels: list[Kernel]) -> Plan:
    """The plan of a chain, each output exactly its kernel's lead before its input."""
    offset, places = 0, {}
    for step, kernel in reversed(list(zip(plan.steps, kernels, strict=True))):
        assert kernel.lead_bytes is not None
        places[step.op.output] = offset
        offset += max(kernel.lead_bytes, 0)  # SAME_BYTE is -1
        places[step.op.input] = offset
    tensors = {i: replace(plan.tensors[i], offset_bytes=at) for i, at in places.items()}
    end = round_up(max(b.offset_bytes + b.size_bytes for b in tensors.values()), 16)
    scratch = max(step.scratch.size_bytes for step in plan.steps if step.scratch)
    steps = [
        replace(step, scratch=step.scratch and replace(step.scratch, offset_bytes=end))
        for step in plan.steps
    ]
    arena_bytes = end + round_up(scratch, 16)
    return replace(plan, tensors=tensors, steps=tuple(steps), arena_bytes=arena_bytes)


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_outputs_lie_over_inputs_at_their_lead(target: Target, tmp_path: Path, rank: int) -> None:
    b = GraphBuilder(seed=9)
    x = b.input((9, 13, 6), 0.02, zero_point=-128)
    for channels, kernel in ((16, (3, 3)), (35, (1, 1)), (14, (5, 3))):
        x = b.conv(x, channels, kernel, padding=same(b, x, kernel, (1, 1)), **FINE)
        x = b.depthwise(x, padding=Padding(1, 1, 1, 1), gain=0.5)
    x = b.average_pool(x, (2, 2), (1, 1), Padding(1, 0, 1, 0))
    x = b.depthwise(x, stride=(1, 2), padding=Padding(1, 1, 1, 1), gain=0.5)
    x = b.conv(x, 3, (1, 1), (2, 2), **FINE)
    graph = b.finish(b.fully_connected(x, 9, gain=0.5), "leads")
    kernels = tuned(target, graph, rank)
    plan = at_leads(make_plan(graph, target.board, "flash", kernels=kernels), kernels)
    assert_plan_bit_equal(target, plan, tmp_path)
