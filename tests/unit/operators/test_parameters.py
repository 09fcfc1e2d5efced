"""The integer parameters of operators without weights, against the scales they come from."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.arithmetic.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from compress.errors import UnsupportedLayer
from compress.operators.elementwise import add_parameters
from compress.operators.requantize import requantize_parameters
from compress.operators.softmax import softmax_parameters
from helpers.graph_builder import GraphBuilder


def test_add_parameters_of_equal_scales_are_halves() -> None:
    b = GraphBuilder()
    x = b.input((2, 2, 2), scale=0.5, zero_point=7)
    p = add_parameters(graph := b.finish(b.add(x, x, gain=2 / math.sqrt(2))), graph.ops[0])
    half = (2**30, 0)
    assert (p.input1_multiplier, p.input1_shift) == (p.input2_multiplier, p.input2_shift) == half
    assert (p.left_shift, p.input1_offset, p.output_offset) == (20, -7, 1)
    # twice the largest scale / (2**20 * output scale) = 2**-20, with the output scale of 1
    assert (p.output_multiplier, p.output_shift) == quantize_multiplier(2.0**-20)


def test_add_parameters_of_int16_shift_by_fifteen() -> None:
    b = GraphBuilder()
    x = b.widen(b.input((2, 2, 2), scale=0.5, zero_point=7))
    p = add_parameters(graph := b.finish(b.add(x, x)), graph.ops[1])
    assert (p.left_shift, p.input1_offset, p.input2_offset, p.output_offset) == (15, 0, 0, 0)
    assert (p.lo, p.hi) == (-32768, 32767)
    # twice the scale / (2**15 * output scale), of which the builder takes sqrt(2) times the scale
    ratio = 2 * b.tensors[x].scale / graph.output_tensor.scale
    assert (p.output_multiplier, p.output_shift) == quantize_multiplier(ratio / 2**15)


@pytest.mark.parametrize("places", [0, 3, 7])
def test_int8_becomes_int16_by_a_shift(places: int) -> None:
    b = GraphBuilder()
    graph = b.finish(b.widen(b.input((4,), 0.3, 11), places))
    p = requantize_parameters(graph, graph.ops[0])
    assert (p.input_offset, p.output_offset) == (-11, 0)
    x = np.arange(-128, 128, dtype=np.int64) - 11
    values = multiply_by_quantized_multiplier(x, p.multiplier, p.shift)
    np.testing.assert_array_equal(values, x << places)


@pytest.mark.parametrize("ratio", [0.5, 3.0, 100.0, 256.0])
def test_int8_becomes_int16_without_loss_or_not_at_all(ratio: float) -> None:
    b = GraphBuilder()
    graph = b.finish(
        b.requantize(b.input((4,), 0.3), float(np.float32(0.3)) / ratio, dtype="int16")
    )
    with pytest.raises(UnsupportedLayer, match="requantize_0: from int8 to int16"):
        requantize_parameters(graph, graph.ops[0])


def test_add_needs_an_output_scale_the_inputs_can_reach() -> None:
    b = GraphBuilder()
    x = b.input((2, 2, 2), scale=1.0)
    graph = b.finish(b.add(x, x, gain=1e-7))
    with pytest.raises(UnsupportedLayer, match="add_0: output scale"):
        add_parameters(graph, graph.ops[0])


@given(st.floats(1e-6, 100.0))
def test_softmax_uses_the_largest_difference_that_fits_its_format(scale: float) -> None:
    b = GraphBuilder()
    graph = b.finish(b.softmax(b.input((10,), scale=scale)))
    p = softmax_parameters(graph, graph.ops[0])
    limit = 31 * 2**26  # the largest exponent, 31, in Q5.26
    assert -p.diff_min << p.left_shift <= limit < (-p.diff_min + 1) << p.left_shift
    capped = min(Fraction(graph.tensors[0].scale) * 2**26, Fraction(2**31 - 1))
    exact = Fraction(p.multiplier * 2**p.left_shift, 2**31)
    assert abs(exact - capped) <= capped / 2**31


def test_softmax_needs_a_scale_that_can_be_shifted_left() -> None:
    b = GraphBuilder()
    graph = b.finish(b.softmax(b.input((10,), scale=2.0**-26)))
    with pytest.raises(UnsupportedLayer, match="softmax_0: input scale"):
        softmax_parameters(graph, graph.ops[0])


def test_requantize_to_a_vanishing_scale_is_unsupported() -> None:
    b = GraphBuilder()
    graph = b.finish(b.requantize(b.input((10,), scale=1e5), scale=1e-6))
    with pytest.raises(UnsupportedLayer, match="requantize_0: multiplier"):
        requantize_parameters(graph, graph.ops[0])
