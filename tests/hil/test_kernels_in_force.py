"""Shapes at which versions of CMSIS-NN differ, bit for bit with the version in use.

It is the wheel's, or the one that CMSIS_NN names; all tests of this folder use it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from compress.integer import reference
from compress.ops import Padding
from compress.types import Graph
from helpers.graph_builder import GraphBuilder, random_inputs
from hil.board import load_board
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.target.open import open_target
from hil.target.target import Layout, Target

TIMEOUT_S = 30.0
SAMPLES = 4


@pytest.fixture(scope="module", params=["m3", "m4", "m55"])
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    opened = open_target(load_board(request.param))
    yield opened
    opened.close()


def row(width: int, taps: int, stride: int, left: int, right: int) -> Graph:
    """A convolution along a single row."""
    b = GraphBuilder(seed=3)
    x = b.input((1, width, 4))
    return b.finish(b.conv(x, 5, (1, taps), (1, stride), padding=Padding(0, 0, left, right)))


def window(channels: int) -> Graph:
    b = GraphBuilder(seed=4)
    x = b.conv(b.input((5, 6, 3)), channels, (3, 3), padding=Padding(1, 1, 1, 1))
    x = b.depthwise(x, 1, (3, 3), (2, 2), padding=Padding(0, 1, 0, 1), gain=0.3)
    return b.finish(b.depthwise(x, 1, (2, 3), padding=Padding(1, 0, 1, 1), gain=0.3))


def dense(inputs: int, units: int, *, per_channel: bool) -> Graph:
    b = GraphBuilder(seed=5)
    return b.finish(b.fully_connected(b.input((inputs,)), units, per_channel=per_channel))


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(row(13, 3, 1, 0, 0), id="the row fits"),
        pytest.param(row(14, 3, 2, 0, 0), id="the stride leaves input over"),
        pytest.param(row(13, 5, 2, 2, 2), id="the stride steps over padding"),
        pytest.param(row(13, 3, 1, 2, 0), id="padding on one side"),
        pytest.param(window(9), id="an odd number of taps and channels"),
        pytest.param(window(130), id="more channels than a block of MVE"),
        pytest.param(dense(70, 37, per_channel=False), id="one scale"),
        pytest.param(dense(3, 2, per_channel=True), id="a scale per unit"),
    ],
)
def test_the_kernels_in_force_are_bit_equal(target: Target, graph: Graph, tmp_path: Path) -> None:
    inputs = random_inputs(graph, SAMPLES)
    expected = reference.run(graph, inputs)
    assert len(np.unique(expected)) > 5  # not saturated
    image = build(render(make_plan(graph, target.board), target.board), target.board, tmp_path)
    target.load(image)
    sizes = graph.input_tensor.size_bytes, graph.output_tensor.size_bytes
    layout = Layout.within(image.staging, SAMPLES, *sizes)
    target.write(layout.inputs.origin, inputs.tobytes())
    target.write(layout.labels.origin, bytes(layout.labels.length_bytes))
    target.run(layout.request, TIMEOUT_S)
    outputs = target.read(layout.outputs.origin, layout.outputs.length_bytes)
    np.testing.assert_array_equal(np.frombuffer(outputs, np.int8).reshape(expected.shape), expected)
