"""The kernels for cores without DSP equal the reference bit for bit, also over their inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from compress.ops import Padding, inputs_of, outputs_of
from compress.types import Graph
from helpers.graph_builder import NONE, RELU, RELU6, GraphBuilder, same_padding
from helpers.on_target import assert_outputs_equal
from hil.board import load_board, without_limits
from hil.codegen.plan import make_plan
from hil.kernel_interface.limits import round_up
from hil.kernels.choice import choose
from hil.target.open import open_target
from hil.target.target import Target
from hil.types import Board, Plan

# No shrinking: each attempt is a build.
AS_FOUND = (Phase.explicit, Phase.reuse, Phase.generate)
FINE = {"weight_scale": 0.004, "gain": 0.5}


@pytest.fixture(scope="module", params=("m3", "m0"))
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    opened = open_target(without_limits(load_board(request.param)))
    yield opened
    opened.close()


@st.composite
def layers(draw: st.DrawFn) -> Graph:
    """One convolution, with or without depth, or one fully connected layer."""
    b = GraphBuilder(seed=draw(st.integers(0, 99)))
    zero_point = draw(st.sampled_from((-128, -3, 127)))
    activation = draw(st.sampled_from((NONE, RELU, RELU6)))
    options = {**FINE, "activation": activation, "zero_point": draw(st.sampled_from((-128, 9)))}
    kind = draw(st.sampled_from(("conv", "depthwise", "3x3", "dense")))
    if kind == "dense":
        x = b.input((draw(st.integers(1, 40)),), 0.05, zero_point)
        units, each = draw(st.integers(1, 11)), draw(st.booleans())
        return b.finish(b.fully_connected(x, units, per_channel=each, **options))
    size = draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    depth = draw(st.integers(1, 9))
    filter_ = (3, 3) if kind == "3x3" else draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilation = (1, 1) if kind == "3x3" else draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    sides = [
        same_padding(extent, taps, step, apart)
        for extent, taps, step, apart in zip(size, filter_, stride, dilation, strict=True)
    ]
    padding = Padding(*sides[0], *sides[1])
    x = b.input((*size, depth), 0.05, zero_point)
    if kind == "conv":
        units = draw(st.integers(1, 9))
        x = b.conv(x, units, filter_, stride, dilation, padding, **options)
    else:
        times = draw(st.sampled_from((1, 1, 2)))
        x = b.depthwise(x, times, filter_, stride, dilation, padding, **options)
    return b.finish(x)


def over_its_input(plan: Plan, board: Board) -> Plan:
    """The plan of a graph of one operator, its output over its input with exactly the lead.

    Behind both is the scratch memory, if there is any.
    """
    graph, (step,) = plan.graph, plan.steps
    lead = choose(graph, step.op, board, "nothing").lead_bytes
    if lead is None:
        return plan
    (source,), (output,) = inputs_of(step.op), outputs_of(step.op)
    offsets = {output: 0, source: lead}
    tensors = {i: replace(plan.tensors[i], offset_bytes=at) for i, at in offsets.items()}
    end = round_up(max(t.offset_bytes + t.size_bytes for t in tensors.values()), 4)
    scratch = step.scratch and replace(step.scratch, offset_bytes=end)
    end += round_up(scratch.size_bytes, 4) if scratch else 0
    steps = (replace(step, scratch=scratch),)
    return replace(plan, tensors=tensors, steps=steps, arena_bytes=end)


def assert_bit_equal(target: Target, plan: Plan, folder: Path) -> None:
    graph = plan.graph
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (4, *graph.input_tensor.shape[1:]), dtype=np.int8)
    x[0], x[1] = -128, 127
    x[2] = rng.choice(np.array([-128, 127], np.int8), x[2].shape)
    assert_outputs_equal(target, plan, folder, x)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("layers")


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), phases=AS_FOUND)
@given(graph=layers())
def test_layer_over_its_input_is_bit_equal(target: Target, folder: Path, graph: Graph) -> None:
    plan = make_plan(graph, target.board, "nothing")
    assert_bit_equal(target, over_its_input(plan, target.board), folder)


def wide(kind: str) -> Graph:
    """More channels, taps and pixels than a round of the kernels takes; weights of -128 too."""
    b = GraphBuilder(seed=7)
    if kind == "dense_scalar":
        return b.finish(b.fully_connected(b.input((203,)), 31, weight_scale=0.01))
    x = b.input((7, 9, 13), 0.02, zero_point=-128)
    if kind == "conv_scalar":
        return b.finish(b.conv(x, 21, (3, 3), padding=Padding(1, 1, 1, 1), **FINE))
    filter_, stride = ((3, 3), (2, 2)) if kind == "stride 2" else ((4, 5), (1, 1))
    return b.finish(b.depthwise(x, 1, filter_, stride, padding=Padding(1, 1, 1, 1), **FINE))


@pytest.mark.parametrize("kind", ["conv_scalar", "stride 2", "any filter", "dense_scalar"])
def test_large_layer_is_bit_equal(target: Target, tmp_path: Path, kind: str) -> None:
    plan = make_plan(wide(kind), target.board, "nothing")
    assert plan.steps[0].kernel.endswith("_scalar")
    assert_bit_equal(target, over_its_input(plan, target.board), tmp_path)
