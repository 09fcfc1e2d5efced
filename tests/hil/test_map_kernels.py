"""Kernels of operators that compute on maps, layer by layer on emulated cores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from test_codegen import assert_every_layer_is_bit_equal

from compress.ops import Function
from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from helpers.graph_strategies import INT8_FUNCTIONS
from hil.board import load_board, without_limits
from hil.target.open import open_target
from hil.target.target import Target

BOARDS = ("m3", "m4", "m55")


@pytest.fixture(scope="module", params=BOARDS)
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    opened = open_target(without_limits(load_board(request.param)))
    yield opened
    opened.close()


def resized(wide: bool) -> Graph:
    """Every kind of resizing, up and down, with one channel and with several."""
    b = GraphBuilder(seed=11)
    x = b.input((5, 7, 3), 0.02, zero_point=-20)
    if wide:
        x = b.conv(b.widen(x), 3, (1, 1))
    x = b.resize_nearest(x, (10, 14))
    x = b.resize_bilinear(x, (13, 9), align_corners=True)
    x = b.resize_nearest(x, (4, 17), align_corners=True)
    x = b.resize_bilinear(x, (11, 23))
    x = b.resize_nearest(x, (9, 8), half_pixel_centers=True)
    x = b.resize_bilinear(x, (19, 5), half_pixel_centers=True)
    return b.finish(b.narrow(x), "resized")


def reduced(wide: bool) -> Graph:
    """Sums, means and extremes over one axis, and over two that are apart."""
    b = GraphBuilder(seed=12)
    x = b.input((6, 9, 5), 0.02, zero_point=-20)
    if wide:
        x = b.conv(b.widen(x), 5, (1, 1))
    step = b.tensors[x].scale
    parts = [
        b.sum(x, (1,), True, step * 3),
        b.mean(x, (1,), True, step / 2),
        b.reduce_max(x, (1,), True),
        b.reduce_min(x, (1,), True),
    ]
    y = parts[0]
    for part in parts[1:]:
        y = b.add(y, part)
    parts = [
        b.sum(x, (1, 3), True, step * 6),
        b.mean(x, (1, 3), True, step / 6),
        b.reduce_max(x, (1, 3), True),
        b.reduce_min(x, (1, 3), True),
        b.reduce_max(b.reduce_min(y, (3,), True), (0, 1), True),
    ]
    z = parts[0]
    for part in parts[1:]:
        z = b.add(z, part)
    return b.finish(b.narrow(z), "reduced")


def transposed(wide: bool) -> Graph:
    """Strides below, at and above the kernel's extent; int8 and int4 weights."""
    b = GraphBuilder(seed=13)
    x = b.input((4, 3, 5), 0.02, zero_point=-20)
    if wide:
        x = b.widen(x)
    x = b.transpose_conv(x, 7, (7, 6), (3, 4), (2, 2))
    x = b.transpose_conv(x, 6, (10, 9), (4, 4), (1, 1), same=False, weight_scale=0.002)
    x = b.transpose_conv(x, 3, (29, 18), (1, 2), (3, 2), weight_bits=4, per_channel=False)
    return b.finish(b.narrow(x), "transposed")


def functions(wide: bool) -> Graph:
    """Element-wise functions."""
    b = GraphBuilder(seed=14)
    x = b.input((7, 5, 3), 0.02, zero_point=-20)
    if wide:
        x = b.conv(b.widen(x), 3, (1, 1))
        parts = [
            b.lookup(x, Function.LEAKY_RELU, b.tensors[x].scale * 0.7, alpha=0.3),
            b.lookup(x, Function.LOGISTIC),
            b.lookup(x, Function.TANH),
        ]
    else:
        parts = [b.lookup(x, function, 0.03, alpha=0.3) for function in INT8_FUNCTIONS]
        parts.append(b.table(x, 0.03))
        parts.append(b.prelu(x, b.constant((5, 3), 0.01, 20), 0.03))
    y = parts[0]
    for part in parts[1:]:
        y = b.add(y, part)
    return b.finish(b.narrow(y), "functions")


def shares(wide: bool) -> Graph:
    """Softmax to int16 over two classes, over some and over many."""
    b = GraphBuilder(seed=15)
    x = b.input((6, 20, 7), 0.04, zero_point=-20)
    if wide:
        x = b.requantize(b.conv(b.widen(x), 7, (1, 1)), 2e-4)
    parts = []
    for classes, largest in ((2, 1.0), (7, 1.0), (840, 0.016)):
        y = b.softmax(b.reshape(x, (840 // classes, classes)), "int16")
        y = b.narrow(y, largest / 256 / b.tensors[y].scale, -128)
        parts.append(b.reshape(y, (840,)))
    y = parts[0]
    for part in parts[1:]:
        y = b.add(y, part)
    return b.finish(y, "shares")


def products(wide: bool) -> Graph:
    """Products of one matrix and of several, by rows and by columns, of one column and one row."""
    b = GraphBuilder(seed=16)
    x = b.input((3, 7, 5), 0.02, zero_point=-20)
    x = b.requantize(x, 0.03, zero_point=127)
    shares = b.matmul(x, x, transposed=True, zero_point=-128)
    x = b.matmul(shares, x, gain=3.0)
    column = b.matmul(b.reshape(x, (105, 1)), b.reshape(b.mean(x), (1, 5)))
    return b.finish(column, "products")


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("example", [resized, reduced, transposed, functions, shares, products])
def test_every_layer_is_bit_equal(
    target: Target, tmp_path: Path, example: object, wide: bool
) -> None:
    assert callable(example)
    assert_every_layer_is_bit_equal(target, example(wide), tmp_path)
