"""The tuned depthwise kernels on emulated cores equal the reference bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

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
from helpers.on_target import assert_outputs_equal
from hil.board import load_board, without_limits
from hil.codegen.plan import make_plan
from hil.target.open import open_target
from hil.target.target import Target
from hil.types import Memory

BOARDS = ("m4", "m7", "m33")


@pytest.fixture(scope="module", params=BOARDS)
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    opened = open_target(without_limits(load_board(request.param)))
    yield opened
    opened.close()


def kernels(target: Target, graph: Graph, saves: Memory = "flash") -> list[str]:
    return [step.kernel for step in make_plan(graph, target.board, saves).steps]


def assert_bit_equal(target: Target, graph: Graph, folder: Path, saves: Memory = "flash") -> None:
    """On random inputs and where all are at one end of their range."""
    inputs = random_inputs(graph, 4, seed=1)
    inputs[0], inputs[1] = -128, 127
    plan = make_plan(graph, target.board, saves)
    assert_outputs_equal(target, plan, folder, inputs)


def same(b: GraphBuilder, source: int, kernel: tuple[int, int], stride: tuple[int, int]) -> Padding:
    _, height, width, _ = b.tensors[source].shape
    vertical = same_padding(height, kernel[0], stride[0])
    return Padding(*vertical, *same_padding(width, kernel[1], stride[1]))


def square_filters(shape: tuple[int, int, int]) -> Graph:
    """Filters of 3x3, stride 1 with padding 1 and stride 2 as TFLite and as torch pad them."""
    b = GraphBuilder(seed=sum(shape))
    x = b.input(shape, 0.02, zero_point=-7)
    for activation, zero_point in ((RELU, -128), (NONE, 3), (RELU6, -100)):
        x = b.depthwise(
            x, padding=Padding(1, 1, 1, 1), activation=activation, zero_point=zero_point, gain=0.5
        )
    torch_padding = False
    while max(b.tensors[x].shape[1:3]) > 1:
        padding = Padding(1, 1, 1, 1) if torch_padding else same(b, x, (3, 3), (2, 2))
        zero_point = 5 if torch_padding else -128
        activation = RELU_N1_TO_1 if torch_padding else RELU
        x = b.depthwise(x, stride=(2, 2), padding=padding, activation=activation, gain=0.3)
        x = b.depthwise(x, padding=Padding(1, 1, 1, 1), zero_point=zero_point, gain=0.5)
        torch_padding = not torch_padding
    return b.finish(x, "square_filters")


@pytest.mark.parametrize("shape", [(13, 11, 5), (24, 25, 3), (6, 40, 2), (5, 2, 9), (7, 6, 4)])
def test_filters_of_3x3_are_bit_equal(
    target: Target, tmp_path: Path, shape: tuple[int, int, int]
) -> None:
    graph = square_filters(shape)
    assert set(kernels(target, graph)) <= {
        "depthwise_map3",
        "depthwise_map",
        "depthwise_3x3",
        "depthwise_direct",
        "depthwise_3x3_stride2",
    }
    assert_bit_equal(target, graph, tmp_path)


def other_filters() -> Graph:
    b = GraphBuilder(seed=4)
    x = b.input((17, 13, 3), 0.02, zero_point=9)
    for kernel, stride, activation in (
        ((5, 5), (1, 1), RELU),
        ((1, 7), (1, 1), NONE),
        ((7, 1), (1, 1), RELU6),
        ((3, 4), (1, 2), NONE),
        ((2, 2), (1, 1), RELU),
        ((4, 3), (2, 1), NONE),
        ((5, 5), (2, 2), RELU),
    ):
        padding = same(b, x, kernel, stride)
        x = b.depthwise(
            x, 1, kernel, stride, padding=padding, activation=activation, zero_point=-128, gain=0.5
        )
    x = b.depthwise(x, 1, (2, 3), padding=Padding(3, 2, 2, 4), zero_point=40, gain=0.5)
    x = b.depthwise(x, 1, (2, 2), (3, 3), padding=Padding(0, 0, 1, 1), gain=0.5)
    return b.finish(x, "other_filters")


def one_dimension(down: bool) -> Graph:
    b = GraphBuilder(seed=6)
    x = b.input((61, 1, 6) if down else (1, 61, 6), 0.02, zero_point=9)
    for taps, stride in ((9, 1), (4, 2), (3, 1), (3, 2), (5, 1)):
        kernel, steps = ((taps, 1), (stride, 1)) if down else ((1, taps), (1, stride))
        x = b.depthwise(x, 1, kernel, steps, padding=same(b, x, kernel, steps), gain=0.5)
    return b.finish(x, "one_dimension")


@pytest.mark.parametrize("graph", [other_filters(), one_dimension(True), one_dimension(False)])
def test_other_filters_are_bit_equal(target: Target, tmp_path: Path, graph: Graph) -> None:
    assert kernels(target, graph).count("depthwise_rows") >= 4
    assert_bit_equal(target, graph, tmp_path)


def test_an_input_that_is_needed_later_stays(target: Target, tmp_path: Path) -> None:
    """Outputs beside their input; in the other tests most lie over it."""
    b = GraphBuilder(seed=8)
    x = b.input((9, 14, 4), 0.02)
    for kernel, stride in (((3, 3), (1, 1)), ((3, 3), (2, 2)), ((5, 3), (1, 1)), ((3, 3), (1, 1))):
        padding = same(b, x, kernel, stride)
        y = b.depthwise(x, 1, kernel, stride, padding=padding, gain=0.5)
        z = b.depthwise(x, 1, kernel, stride, padding=padding, activation=RELU, gain=0.5)
        x = b.add(y, z)
    assert_bit_equal(target, b.finish(x, "branches"), tmp_path)


def random_layers(seed: int) -> Graph:
    """Three layers of random shapes, scales and activations; most filters are 3x3."""
    rng = np.random.default_rng(seed)
    b = GraphBuilder(seed=seed)
    shape = (int(rng.integers(1, 20)), int(rng.integers(1, 20)), int(rng.integers(1, 9)))
    x = b.input(shape, 0.02, zero_point=int(rng.integers(-128, 128)))
    for _ in range(3):
        kernel = (3, 3) if rng.random() < 0.7 else tuple(int(n) for n in rng.integers(1, 8, 2))
        stride = (2, 2) if rng.random() < 0.4 else (1, 1)
        if rng.random() < 0.2:
            stride = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
        taps, steps = (kernel[0], kernel[1]), (stride[0], stride[1])
        padding = Padding(1, 1, 1, 1) if rng.random() < 0.3 else same(b, x, taps, steps)
        activation = (NONE, RELU, RELU6, RELU_N1_TO_1)[rng.integers(4)]
        zero_point = -128 if rng.random() < 0.5 else int(rng.integers(-128, 128))
        gain = float(rng.choice([0.02, 0.4, 1.0, 60.0]))
        _, height, width, _ = b.tensors[x].shape
        if taps[0] > height + padding.top + padding.bottom:
            continue
        if taps[1] > width + padding.left + padding.right:
            continue
        x = b.depthwise(
            x,
            1,
            taps,
            steps,
            padding=padding,
            activation=activation,
            zero_point=zero_point,
            gain=gain,
            per_channel=bool(rng.random() < 0.8),
        )
    return b.finish(b.requantize(x), "random_layers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("random")


# No shrinking: each attempt is a build.
AS_FOUND = (Phase.explicit, Phase.reuse, Phase.generate)


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), phases=AS_FOUND)
@given(st.integers(0, 2**32 - 1), st.sampled_from(("flash", "ram")))
def test_random_layers_are_bit_equal(
    target: Target, folder: Path, seed: int, saves: Memory
) -> None:
    assert_bit_equal(target, random_layers(seed), folder, saves)
