"""The fixed-point exponential and division inside softmax against real arithmetic.

An int8 result shows only 8 of their 31 bits, so they are looked at by themselves.
"""

import numpy as np

from compress.operators.softmax import _exp_on_negative_values, _one_over_one_plus, _reciprocal

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
