"""Factors of sums give the reference's result for every pair of bytes, or are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import strategies as st

from compress.operators.registry import operator_of
from compress.ops import Add
from compress.types import Graph
from helpers.graph_builder import GraphBuilder, float32
from hil.board import load_board
from hil.kernels.choice import choose
from hil.tuned.affine import INT8_VALUES, fit

scales = st.floats(0.01, 0.1).map(float32)
zero_points = st.integers(-128, 127)


def sum_of(
    left: tuple[float, int], right: tuple[float, int], out: tuple[float, int], subtract: bool
) -> Graph:
    """One Add of two values; each of the arguments is scale and zero point."""
    b = GraphBuilder()
    x = b.input((1,), *left)
    y = b.requantize(x, *right)
    z = b.add(x, y, zero_point=out[1], gain=out[0] / np.hypot(left[0], right[0]), subtract=subtract)
    return b.finish(z)


def reference(graph: Graph, op: Add) -> np.ndarray:
    """(256, 256) results as the reference has them, not through `add_parameters`."""
    left, right = (
        side.reshape(-1, 1).astype(np.int8)
        for side in np.meshgrid(INT8_VALUES, INT8_VALUES, indexing="ij")
    )
    return operator_of(op).kernel(graph, op)(left, right).reshape(256, 256)


@pytest.mark.parametrize("ratio", [1.0, 2.0, 0.5, 1.337])
@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(("shift", "places"), [(20, 8), (21, 0)])
def test_results_are_those_of_the_reference(
    ratio: float, gain: float, shift: int, places: int
) -> None:
    """Equal scales and powers of two give many ties, which TensorFlow Lite rounds from zero."""
    graph = sum_of((0.04, -20), (float32(0.04 * ratio), 33), (0.04 * gain, 5), False)
    op = graph.ops[-1]
    assert isinstance(op, Add)
    out = graph.tensors[op.output].scale
    slopes = (graph.tensors[op.left].scale / out, graph.tensors[op.right].scale / out)
    expected = reference(graph, op).astype(np.int64)
    found = fit(expected, slopes, shift, places)
    assert found is not None
    # In Python's integers, without a limit of bits.
    for a in (-128, -127, -1, 0, 1, 64, 127):
        for b in range(-128, 128):
            total = (found.left * a >> places) + (found.right * b >> places) + found.constant
            assert -(2**31) <= total < 2**31
            assert max(-128, min(127, total >> shift)) == expected[a + 128, b + 128]


def test_functions_that_are_no_sum_are_refused() -> None:
    products = np.clip(INT8_VALUES[:, None] * INT8_VALUES, -128, 127)
    assert fit(products, (1.0, 1.0), 20, 8) is None


def test_factors_beyond_32_bits_are_refused() -> None:
    sums = np.clip(9 * INT8_VALUES[:, None] + INT8_VALUES, -128, 127)
    assert fit(sums, (9.0, 1.0), 20, 8) is None
    assert fit(sums, (9.0, 1.0), 18, 8) is not None


def test_sums_with_a_steep_factor_take_the_kernel_for_any_core() -> None:
    graph = sum_of((0.04, 3), (0.04, -3), (0.004, 0), False)
    assert choose(graph, graph.ops[-1], load_board("m4")).name == "add_affine_s8"


def test_ties_that_the_rounding_of_an_operand_decides_are_refused() -> None:
    """a + 1.3 * b is a tie for all a where b is 5: no line has the rounding error of each a."""
    graph = sum_of((0.04, -20), (float32(0.052), 33), (0.04, 5), False)
    assert choose(graph, graph.ops[-1], load_board("m4")).name == "add_s8"


def test_short_rows_take_the_kernel_for_any_core() -> None:
    b = GraphBuilder()
    x = b.input((5, 5, 3))
    graph = b.finish(b.add(x, b.constant((3,))))
    assert choose(graph, graph.ops[-1], load_board("m4")).name == "add_affine_s8"


def test_sums_of_int16_are_left_to_other_kernels() -> None:
    b = GraphBuilder()
    x = b.widen(b.input((5, 5, 4)))
    graph = b.finish(b.narrow(b.add(x, x)))
    add = next(op for op in graph.ops if isinstance(op, Add))
    assert choose(graph, add, load_board("m4")).name == "add_s16"
