"""Kernels of networks in uint8 quantization, layer by layer on emulated cores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_codegen import assert_every_layer_is_bit_equal

from compress.integer.check import check_graph
from compress.ops import Padding, Weighted
from compress.types import Graph
from helpers.graph_builder import RELU, GraphBuilder
from hil.board import load_board, without_limits
from hil.target.open import open_target
from hil.target.target import Target

BOARDS = ("m3", "m4", "m55")


@pytest.fixture(scope="module", params=BOARDS)
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    opened = open_target(without_limits(load_board(request.param)))
    yield opened
    opened.close()


def with_zero_points(graph: Graph, zero_points: tuple[int, ...]) -> Graph:
    """Weights with zero points, of one scale; in each some are as far from it as uint8 allows."""
    rng = np.random.default_rng(5)
    tensors = list(graph.tensors)
    weighted = [op for op in graph.ops if isinstance(op, Weighted)]
    for number, op in enumerate(weighted):
        weights, zero_point = tensors[op.weights], zero_points[number % len(zero_points)]
        assert weights.data is not None
        values = weights.data.astype(np.int64) + zero_point
        values[rng.random(values.shape) < 0.05] = 127 if zero_point < 0 else -128
        data = np.clip(values, -128, 127).astype(np.int8)
        tensors[op.weights] = replace(weights, dtype="int8", data=data, zero_point=zero_point)
    return replace(graph, tensors=tuple(tensors), uint8=True)


def awkward(weight_bits: int = 8) -> Graph:
    """Every kernel with weights, of odd channels, with strides, dilations, padding and groups."""
    b = GraphBuilder(seed=21)
    options: dict[str, Any] = {"per_channel": False, "weight_bits": weight_bits}
    x = b.input((13, 11, 3), 0.02, zero_point=-20)
    x = b.conv(x, 7, (3, 5), (1, 2), padding=Padding(0, 1, 2, 1), activation=RELU, **options)
    x = b.depthwise(x, 3, (3, 3), dilation=(2, 1), padding=Padding(2, 2, 1, 1), **options)
    x = b.conv(x, 9, (1, 1), zero_point=-100, **options)
    x = b.conv(b.depthwise(x, 4, (2, 2), **options), 9, (1, 1), **options)
    x = b.conv(x, 12, (3, 2), dilation=(1, 2), padding=Padding(1, 1, 1, 0), groups=3, **options)
    x = b.average_pool(x, (3, 2), (1, 1), Padding(1, 1, 0, 1))
    x = b.depthwise(x, 1, (2, 3), (2, 1), padding=Padding(1, 0, 1, 1), **options)
    x = b.average_pool(x, (2, 2), (2, 2))
    x = b.average_pool(x, (3, 1), (1, 1))
    x = b.fully_connected(b.reshape(x, (b.tensors[x].elements,)), 13, **options)
    return b.finish(x, "awkward_uint8")


def test_weights_with_zero_points_are_bit_equal(target: Target, tmp_path: Path) -> None:
    graph = with_zero_points(awkward(), (-90, 33, 127, -128, 5, -31))
    check_graph(graph)
    assert assert_every_layer_is_bit_equal(target, graph, tmp_path) >= {
        "convolve_offset_s8",
        "depthwise_offset_s8",
        "average_pool_up_s8",
        "arm_avgpool_s8",
    }


def test_without_zero_points_the_kernels_are_those_of_int8(target: Target, tmp_path: Path) -> None:
    graph = replace(awkward(), uint8=True)
    assert_every_layer_is_bit_equal(target, graph, tmp_path / "tuned")
    kernels = assert_every_layer_is_bit_equal(target, graph, tmp_path, kernel_set="cmsis-nn")
    assert kernels >= {"arm_convolve_s8", "average_pool_up_s8", "convolve_groups_s8"}


def test_stored_weights_with_zero_points_are_bit_equal(target: Target, tmp_path: Path) -> None:
    """Weights that are stored packed keep their zero points."""
    graph = awkward(weight_bits=4)
    tensors = list(graph.tensors)
    for op in graph.ops:
        if isinstance(op, Weighted):
            tensors[op.weights] = replace(tensors[op.weights], dtype="int8", zero_point=1)
    graph = replace(graph, tensors=tuple(tensors), uint8=True)
    check_graph(graph)
    assert_every_layer_is_bit_equal(target, graph, tmp_path)
