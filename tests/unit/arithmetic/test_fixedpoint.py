"""Fixed-point arithmetic against exact rational arithmetic."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from compress.arithmetic.fixedpoint import (
    clamp_range,
    conv_multipliers,
    multiply_by_quantized_multiplier,
    multiply_by_reduced_multiplier,
    quantize_multiplier,
    reduced_multiplier,
)
from compress.types import Tensor
from helpers.graph_builder import NONE, RELU, RELU6, GraphBuilder

mantissas = st.integers(2**30, 2**31 - 1)


def round_half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def round_half_away(value: Fraction) -> int:
    return round_half_up(value) if value >= 0 else -round_half_up(-value)


@given(st.floats(2.0**-31, 2.0**31, exclude_max=True, allow_subnormal=False))
@example(0.25)
@example(1.0 - 2.0**-40)
@example(1.0 - 2.0**-53)
def test_quantize_multiplier_is_the_nearest_mantissa(real: float) -> None:
    mantissa, shift = quantize_multiplier(real)
    assert 2**30 <= mantissa < 2**31
    unit = Fraction(2) ** (shift - 31)
    assert abs(mantissa * unit - Fraction(real)) <= unit / 2


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (0.0, (0, 0)),
        (1.0, (2**30, 1)),
        (0.5, (2**30, 0)),
        (0.375, (3 * 2**29, -1)),
        (96.0, (3 * 2**29, 7)),
        (2.0**-32, (2**30, -31)),
        (2.0**-33, (0, 0)),
        (1.0 + 2.0**-31, (2**30 + 1, 1)),
    ],
)
def test_quantize_multiplier_of_known_values(real: float, expected: tuple[int, int]) -> None:
    assert quantize_multiplier(real) == expected


@pytest.mark.parametrize("real", [-0.1, 2.0**31, math.inf, math.nan])
def test_quantize_multiplier_refuses_what_has_no_mantissa(real: float) -> None:
    with pytest.raises(ValueError, match="is not within"):
        quantize_multiplier(real)


@given(st.integers(-(2**31), 2**31 - 1), mantissas, st.integers(-31, 0))
@example(-3, 2**30, -1)
@example(3, 2**30, -1)
@example(-1, 2**30, 0)
@example(2**31 - 1, 2**31 - 1, 0)
def test_multiply_rounds_twice(x: int, mantissa: int, shift: int) -> None:
    high = round_half_up(Fraction(x * mantissa, 2**31))
    expected = round_half_away(Fraction(high, 2**-shift))
    result = multiply_by_quantized_multiplier(np.array([x], np.int64), mantissa, shift)
    assert result.tolist() == [expected]


@given(st.integers(-(2**16), 2**16), mantissas, st.integers(1, 14))
def test_multiply_shifts_left_first(x: int, mantissa: int, shift: int) -> None:
    expected = round_half_up(Fraction(x * 2**shift * mantissa, 2**31))
    result = multiply_by_quantized_multiplier(np.array([x], np.int64), mantissa, shift)
    assert result.tolist() == [expected]


@given(
    st.lists(st.tuples(st.integers(-(2**20), 2**20), mantissas, st.integers(-31, 8)), min_size=1)
)
def test_multiply_takes_one_multiplier_per_channel(rows: list[tuple[int, int, int]]) -> None:
    x, multipliers, shifts = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    together = multiply_by_quantized_multiplier(x, multipliers, shifts)
    alone = [
        int(multiply_by_quantized_multiplier(np.array([a], np.int64), m, s)[0]) for a, m, s in rows
    ]
    assert together.tolist() == alone


@given(st.integers(-(2**47), 2**47 - 1), mantissas, st.integers(-31, 7))
@example(-1, 2**30, 0)
@example(2**47 - 1, 2**31 - 1, -31)
def test_a_reduced_multiplier_rounds_once(x: int, mantissa: int, shift: int) -> None:
    reduced, right = reduced_multiplier(mantissa, shift)
    assert 2**14 <= reduced < 2**15
    # The mantissa itself is off by half a unit of 16 bits, or by one where that would be 2**15.
    scale = Fraction(2) ** (shift - 31)
    assert abs(Fraction(reduced, 2**right) - mantissa * scale) <= 2**16 * scale
    expected = round_half_up(Fraction(x * reduced, 2**right))
    result = multiply_by_reduced_multiplier(np.array([x], np.int64), reduced, right)
    assert result.tolist() == [expected]


def test_reduced_multipliers_of_known_values() -> None:
    assert reduced_multiplier(2**30, 1) == (2**14, 14)
    assert reduced_multiplier(2**30 + 2**15, 0) == (2**14 + 1, 15)
    assert reduced_multiplier(2**31 - 1, -3) == (2**15 - 1, 18)
    assert reduced_multiplier(0, 0) == (0, 15)
    with pytest.raises(ValueError, match="shift 8 is above 7"):
        reduced_multiplier(2**30, 8)


def test_multiply_leaves_its_operand_alone() -> None:
    x = np.array([5, -5], np.int64)
    multiply_by_quantized_multiplier(x, 2**30, -1)
    assert x.tolist() == [5, -5]


def test_clamp_range_is_the_activation_in_quantized_units() -> None:
    tensor = Tensor("t", (1, 4), "int8", (float(np.float32(0.1)),), -20)
    assert clamp_range(tensor, NONE) == (-128, 127)
    assert clamp_range(tensor, RELU) == (-20, 127)
    assert clamp_range(tensor, RELU6) == (-20, 40)
    fine = Tensor("t", (1, 4), "int8", (0.01,), 5)
    assert clamp_range(fine, RELU6) == (5, 127)


def test_clamp_range_of_int16() -> None:
    tensor = Tensor("t", (1, 4), "int16", (2.0**-10,))
    assert clamp_range(tensor, NONE) == (-32768, 32767)
    assert clamp_range(tensor, RELU) == (0, 32767)
    assert clamp_range(tensor, RELU6) == (0, 6 * 1024)


def test_conv_multipliers_are_per_channel_and_fully_connected_has_one() -> None:
    b = GraphBuilder()
    x = b.conv(b.input((4, 4, 2)), 3)
    graph = b.finish(b.fully_connected(x, 5))
    conv, dense = graph.ops
    scales = graph.tensors[conv.weights].scales
    expected = tuple(
        quantize_multiplier(graph.tensors[0].scale * s / graph.tensors[conv.output].scale)
        for s in scales
    )
    assert conv_multipliers(graph, conv) == expected
    assert len(conv_multipliers(graph, dense)) == 1


def test_one_weight_scale_serves_every_channel() -> None:
    b = GraphBuilder()
    graph = b.finish(b.conv(b.input((4, 4, 2)), 3, per_channel=False))
    multipliers = conv_multipliers(graph, graph.ops[0])
    assert len(multipliers) == 3
    assert len(set(multipliers)) == 1
