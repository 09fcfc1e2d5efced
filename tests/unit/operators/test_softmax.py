"""The fixed-point exponential and division inside softmax, and its tables, against real arithmetic.

An int8 result shows only 8 of their 31 bits, so they are looked at by themselves.
"""

from dataclasses import replace

import numpy as np

from compress.arithmetic.softmax_int8 import (
    _exp_on_negative_values,
    _one_over_one_plus,
    _reciprocal,
)
from compress.arithmetic.softmax_int16 import exponentials, reciprocals
from compress.integer import reference
from compress.tflite.exporter import export_tflite
from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from helpers.oracles import assert_oracles_compute, needs_oracle

ONE = 2.0**31


def test_exponential_is_accurate_to_its_format() -> None:
    edges = [-(2**bit) for bit in range(31)] + [0, -(2**24) + 1, -(31 * 2**26)]
    x = np.concatenate([edges, np.random.default_rng(0).integers(-(31 * 2**26), 1, 20_000)])
    real = np.exp(x / 2**26)
    found = _exp_on_negative_values(x) / ONE
    # The Taylor series around -1/8 ends at x**4 with |x| <= 1/8: the next term is
    # exp(-1/8) * (1/8)**5 / 120, at most 2.9e-7 of a result of exp(-1/4) or more.
    # The factors and products round to one unit of the format each.
    assert (np.abs(found - real) <= 3e-7 * real + 4 / ONE).all()


def test_division_converges() -> None:
    a = np.concatenate([[0, 2**31 - 1], np.random.default_rng(1).integers(0, 2**31, 20_000)])
    found = _one_over_one_plus(a) / ONE
    assert np.abs(found - 1 / (1 + a / ONE)).max() < 16 / ONE


def test_reciprocal_normalizes() -> None:
    x = np.concatenate([[2**19, 2**20 - 1, 2**31 - 1], np.arange(2**19, 2**31, 2**20 + 7)])
    mantissa, bits_over_unit = _reciprocal(x)
    real = 2.0**19 / x
    assert np.abs(mantissa / ONE / 2.0**bits_over_unit - real).max() < 32 / ONE


def test_tables_interpolate_within_two_units() -> None:
    x = np.arange(2**16) / 128
    for table, first, last, function in (
        (exponentials(), -10.0, 0.0, np.exp),
        (reciprocals(), 0.0, 1.0, lambda x: 1 / (1 + x)),
    ):
        real = function(first + x * (last - first) / 512) * 2**15
        found = np.interp(x, np.arange(513), table.astype(float))
        assert np.abs(found - real).max() < 2


def on_int16(rows: int, scale: float) -> Graph:
    """Softmax of int16 (1, rows, 3)."""
    b = GraphBuilder()
    x = b.input((rows, 3), scale)
    b.tensors[x] = replace(b.tensors[x], dtype="int16", zero_point=0)
    return b.finish(b.softmax(x, "int16"))


@needs_oracle
def test_every_entry_of_the_tables_is_the_oracles() -> None:
    """The exponential of one column, and sums of two or three, are of each table entry."""
    rows = 2**14
    graph = on_int16(rows, 10 / (2**16 - 1))
    x = np.full((4, rows, 3), -(2**15))
    x[:, :, 0] = 2**15 - 1
    x[:, :, 1] = np.arange(2**16).reshape(4, rows) - 2**15
    x[2:, ::2, 2] = x[2:, ::2, 1]
    inputs = x.astype("<i2").reshape(4, -1).view(np.int8)
    assert_oracles_compute(export_tflite(graph), graph, inputs)


def test_the_precision_of_a_table_can_be_seen() -> None:
    """The constants in single precision are the reason why tflite-micro differs."""
    graph = on_int16(1, 1e-3)
    x = np.zeros((20_000, 1, 3))
    x[..., 1:] = np.random.default_rng(0).integers(-3000, 1, (20_000, 1, 2))
    inputs = x.astype("<i2").reshape(len(x), -1).view(np.int8)
    single = replace(graph, other_precision=True)
    apart = reference.run(graph, inputs).view("<i2") - reference.run(single, inputs).view("<i2")
    assert 0 < np.count_nonzero(apart) < apart.size / 100
    assert np.abs(apart).max() == 1
