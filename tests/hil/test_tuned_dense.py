"""Dense layers, sums, pools and int4 weights: our kernels equal the reference bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from compress.types import Graph
from helpers.graph_builder import RELU, RELU6, GraphBuilder, Padding, random_inputs
from helpers.on_target import assert_outputs_equal
from hil.board import load_board, without_limits
from hil.codegen.plan import make_plan
from hil.target.open import open_target
from hil.target.target import Target
from hil.types import Plan


@pytest.fixture(scope="module", params=["m0", "m3", "m4", "m7", "m33", "m55"])
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    opened = open_target(without_limits(load_board(request.param)))
    yield opened
    opened.close()


def assert_bit_equal(target: Target, graph: Graph, folder: Path) -> Plan:
    """All inputs -128, all 127, the two mixed, and others."""
    inputs = random_inputs(graph, 5)
    inputs[0], inputs[1] = -128, 127
    inputs[2] = np.where(inputs[2] > 0, 127, -128)
    plan = make_plan(graph, target.board, saves="nothing")
    assert_outputs_equal(target, plan, folder, inputs)
    return plan


def has_dsp(target: Target) -> bool:
    return target.board.name in {"m4", "m7", "m33"}


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(("rows", "inputs", "units"), [(1, 70, 7), (3, 13, 6), (4, 36, 8)])
def test_dense_layers(
    target: Target, tmp_path: Path, bits: int, rows: int, inputs: int, units: int
) -> None:
    """Unaligned rows, panels that are not full, rows of which some lie over others."""
    b = GraphBuilder(seed=rows * inputs)
    x = b.input((rows, inputs), 0.03, zero_point=17)
    kind = {"weight_bits": bits, "by_row": True}
    x = b.fully_connected(x, units, RELU6, zero_point=-100, per_channel=True, **kind)
    x = b.fully_connected(x, 9, RELU, weight_scale=0.05, **kind)
    plan = assert_bit_equal(target, b.finish(x), tmp_path)
    if has_dsp(target):
        assert {step.kernel for step in plan.steps} == {f"fully_connected_s{bits}"}


def test_sums_and_differences(target: Target, tmp_path: Path) -> None:
    """Operands of every kind of repetition and constants, both ways, over either operand."""
    b = GraphBuilder(seed=3)
    x = b.input((5, 7, 9), 0.05, zero_point=-20)
    y = b.requantize(x, 0.03, zero_point=33)
    z = b.add(y, x, subtract=True)
    z = b.add(z, x, RELU, zero_point=-50)
    z = b.add(z, b.constant((9,), 0.07, 4), gain=0.8)
    z = b.add(z, b.constant((5, 7, 9), 0.02, -4), gain=0.8)
    z = b.add(z, b.constant((7, 9), 0.02, 4), gain=0.8, subtract=True, reverse=True)
    z = b.add(z, b.mean(z, keep=True, scale=b.tensors[z].scale / 3), subtract=True, gain=0.6)
    z = b.add(z, z, gain=0.9)
    plan = assert_bit_equal(target, b.finish(z), tmp_path)
    names = {step.kernel for step in plan.steps if step.kernel.startswith("add_")}
    assert names == {"add_affine_s8"} | ({"add_affine_dsp_s8"} if has_dsp(target) else set())


def test_convolutions_with_weights_of_four_bits(target: Target, tmp_path: Path) -> None:
    """Each loop nest, with depths that are no multiple of 4 and odd numbers of pixels."""
    b = GraphBuilder(seed=5)
    ones = Padding(1, 1, 1, 1)
    x = b.input((8, 7, 8), 0.03, zero_point=-9)
    x = b.conv(x, 13, (1, 1), weight_bits=4)
    x = b.conv(x, 31, (1, 1), weight_bits=4)
    b.conv(x, 4, (3, 3), (2, 2), padding=ones, weight_bits=4)
    x = b.conv(x, 5, (3, 3), padding=ones, weight_bits=4)
    b.conv(b.conv(x, 3, (1, 1)), 5, (3, 3), padding=ones, weight_bits=4)
    x = b.conv(x, 4, (3, 2), weight_bits=4)
    b.conv(b.conv(x, 3, (1, 1)), 5, (3, 3), padding=ones, weight_bits=4)
    x = b.conv(x, 40, (3, 3), padding=ones, weight_bits=4)
    plan = assert_bit_equal(target, b.finish(x), tmp_path)
    if has_dsp(target):
        assert all(step.expanded is None for step in plan.steps)


def test_average_pools(target: Target, tmp_path: Path) -> None:
    """Windows over edges, channels that are no multiple of 8, a whole map, in place."""
    b = GraphBuilder(seed=6)
    x = b.input((9, 11, 19), 0.03, zero_point=-9)
    x = b.average_pool(x, (3, 3), (2, 1), Padding(1, 1, 1, 1))
    x = b.average_pool(x, (2, 3), (1, 2), activation=RELU)
    x = b.average_pool(x, b.tensors[x].shape[1:3])
    plan = assert_bit_equal(target, b.finish(x), tmp_path)
    if has_dsp(target):
        assert {step.kernel for step in plan.steps} == {"average_pool_s8"}
