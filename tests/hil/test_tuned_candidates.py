"""Every candidate of every layer, not only the first, equals the reference bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from compress.ops import Padding
from compress.types import Graph
from helpers.graph_builder import RELU, RELU6, GraphBuilder
from helpers.on_target import assert_layers_equal
from hil.board import load_board, without_limits
from hil.codegen.plan import make_plan
from hil.kernels.choice import all_candidates
from hil.target.open import open_target
from hil.target.target import Target
from hil.types import Memory


@pytest.fixture(scope="module", params=("m4", "m7", "m33"))
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    opened = open_target(without_limits(load_board(request.param)))
    yield opened
    opened.close()


def names_of_every_candidate(
    target: Target, graph: Graph, folder: Path, saves: Memory = "nothing"
) -> set[str]:
    """Run all candidates of one rank after the other; the names of all, each equal at its layer."""
    memories: tuple[Memory, ...] = (saves, "flash")
    options = [
        list(dict.fromkeys(k for m in memories for k in all_candidates(graph, op, target.board, m)))
        for op in graph.ops
    ]
    rng = np.random.default_rng(1)
    names: set[str] = set()
    for rank in range(max(map(len, options))):
        kernels = [known[min(rank, len(known) - 1)] for known in options]
        plan = make_plan(graph, target.board, kernels=kernels)
        inputs = rng.integers(-128, 128, (1, *graph.input_tensor.shape[1:])).astype(np.int8)
        inputs[:, ::2] = rng.choice([-128, 127])
        assert_layers_equal(target, plan, folder / str(rank), inputs)
        names |= {step.kernel for step in plan.steps}
    return names


@pytest.mark.parametrize(("rows", "inputs", "units"), [(1, 30, 7), (3, 13, 1), (2, 36, 8)])
def test_dense_layers(target: Target, tmp_path: Path, rows: int, inputs: int, units: int) -> None:
    """Odd numbers of units, one of them; scales of each unit and common ones; clamps."""
    b = GraphBuilder(seed=units)
    x = b.input((rows, inputs), 0.03, zero_point=17)
    x = b.fully_connected(x, units, RELU6, zero_point=-100, per_channel=True, by_row=True)
    x = b.fully_connected(x, 9, RELU, weight_scale=0.05, by_row=True)
    names = names_of_every_candidate(target, b.finish(x), tmp_path)
    assert {"fully_connected_s8", "fully_connected_pairs_s8"} <= names


def test_convolutions(target: Target, tmp_path: Path) -> None:
    """1x1 with a depth that is no multiple of 4, 3x3, strides, rows of an odd number of inputs."""
    b = GraphBuilder(seed=4)
    x = b.input((7, 6, 3), zero_point=-9)
    x = b.conv(x, 16, (3, 3), (2, 1), padding=Padding(1, 1, 1, 0))
    x = b.conv(x, 9, (1, 1))
    x = b.conv(x, 6, (2, 3))
    some = next(t for t in b.tensors if t.data is not None and t.elements == 9 * 16)
    assert some.data is not None
    some.data.reshape(-1)[::2] = 0
    names = names_of_every_candidate(target, b.finish(x), tmp_path)
    assert {"conv_pointwise", "conv_rows", "conv_short", "conv_short_sparse"} <= names


def test_depthwise_convolutions(target: Target, tmp_path: Path) -> None:
    """3x3 with stride 1 and 2, each by all kernels that know it, also that of any filter."""
    b = GraphBuilder(seed=5)
    x = b.input((9, 7, 5), zero_point=30)
    x = b.depthwise(x, padding=Padding(1, 1, 1, 1))
    x = b.depthwise(x, stride=(2, 2), padding=Padding(1, 1, 1, 1))
    x = b.depthwise(x, padding=Padding(1, 1, 1, 1))
    x = b.average_pool(b.conv(x, 8, (1, 1)), (5, 4))
    names = names_of_every_candidate(target, b.finish(x), tmp_path)
    assert {"depthwise_map", "depthwise_3x3", "depthwise_3x3_stride2", "depthwise_rows"} <= names
    assert {"depthwise_short", "average_pool_short"} <= names
