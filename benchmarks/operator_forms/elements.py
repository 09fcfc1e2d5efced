"""Makers of forms that compute element by element: activations, functions, arithmetic, softmax."""

from __future__ import annotations

import operator
from random import Random
from typing import Any

import torch
from torch import nn

from operator_forms.parts import Applied, Maker, Shape, apply, called, plain, random_signs, weighted

_WITH_NUMBER_FIRST = (operator.truediv, operator.itruediv)


def _hardtanh(form: Any, shape: Shape, rng: Random) -> nn.Module:
    return called(form, -rng.uniform(0.2, 1.5), rng.uniform(0.2, 2.0))


def _clamp(form: Any, shape: Shape, rng: Random) -> nn.Module:
    """A range, mostly one with zero in it, or one limit."""
    low, high = rng.choice((0.0, -rng.uniform(0.2, 1.5), 0.2)), rng.uniform(0.3, 2.0)
    ends = rng.choice(((low, high), (low, 6.0), (low, None), (None, high)))
    return called(form, *ends)


def _leaky(form: Any, shape: Shape, rng: Random) -> nn.Module:
    return called(form, rng.choice((0.01, 0.1, 0.3, -0.2)))


def _softmax(form: Any, shape: Shape, rng: Random) -> nn.Module:
    return called(form, dim=rng.choice((1, -1)))


def _prelu(form: Any, shape: Shape, rng: Random) -> nn.Module:
    layer = nn.PReLU(rng.choice((1, shape[0])))
    nn.init.uniform_(layer.weight, 0.02, 0.5)
    return layer


def _gelu(form: Any, shape: Shape, rng: Random) -> nn.Module:
    return called(form, approximate=rng.choice(("none", "tanh")))


def _softplus(form: Any, shape: Shape, rng: Random) -> nn.Module:
    return called(form, rng.choice((1.0, rng.uniform(0.5, 3.0))))


def _elu(form: Any, shape: Shape, rng: Random) -> nn.Module:
    return called(form, alpha=rng.choice((1.0, rng.uniform(0.5, 2.0))))


def _shrink(form: Any, shape: Shape, rng: Random) -> nn.Module:
    return called(form, rng.uniform(0.05, 0.5))


def _threshold(form: Any, shape: Shape, rng: Random) -> nn.Module:
    return called(form, rng.uniform(-0.3, 0.3), rng.uniform(-1.0, 0.0))


def _of_positive(form: Any, shape: Shape, rng: Random) -> nn.Module:
    """Of values from 0.1 or more on: the function is not defined, or infinite, below zero."""
    least = rng.uniform(0.1, 0.5)
    return Applied(lambda _, x: apply(form, torch.relu(x) + least))


def _power(form: Any, shape: Shape, rng: Random) -> nn.Module:
    exponent = rng.choice((2, 3, 0.5, 1.5, -1))
    least = rng.uniform(0.1, 0.5)
    if exponent in (2, 3):
        return called(form, exponent)
    return Applied(lambda _, x: apply(form, torch.relu(x) + least, exponent))


def _inverse_root(form: Any, shape: Shape, rng: Random) -> nn.Module:
    least, shift = rng.uniform(0.1, 0.5), rng.choice((1e-5, 1e-3))
    return Applied(lambda _, x: form(torch.relu(x) + least, shift))


def _binary(form: Any, shape: Shape, rng: Random) -> nn.Module:
    """With a second value, of the same shape or a mean of it, a number or one per channel."""
    kind = rng.choice(("value", "mean", "number", "constants"))
    if kind == "value":
        return Applied(lambda s, x: apply(form, x, s.other(x)), other=weighted(shape, shape[0]))
    if kind == "mean" and len(shape) > 1:
        axes = tuple(range(2, len(shape) + 1))
        return Applied(
            lambda s, x: apply(form, x, s.other(x).mean(axes, keepdim=True)),
            other=weighted(shape, shape[0]),
        )
    if kind == "constants":
        return _with_constants(form, shape)
    number = rng.choice((-1, 1)) * rng.uniform(0.3, 2.0)
    return called(form, number)


def _with_constants(form: Any, shape: Shape) -> nn.Module:
    constants = random_signs((1, shape[0], *[1] * (len(shape) - 1)), 0.3, 2.0)
    return Applied(lambda s, x: apply(form, x, s.constants), constants=constants)


def _divide(form: Any, shape: Shape, rng: Random) -> nn.Module:
    """By a number or constants, or a number by a value."""
    kind = rng.choice(("number", "constants", "quotient"))
    number = rng.choice((-1, 1)) * rng.uniform(0.3, 2.0)
    if kind == "quotient" and form in _WITH_NUMBER_FIRST:
        least = rng.uniform(0.2, 0.5)
        return Applied(lambda _, x: form(number, torch.relu(x) + least))
    return _with_constants(form, shape) if kind == "constants" else called(form, number)


def _extreme(form: Any, shape: Shape, rng: Random) -> nn.Module:
    """Of two values, or of a value and constants."""
    if rng.random() < 0.6:
        return Applied(lambda s, x: apply(form, x, s.other(x)), other=weighted(shape, shape[0]))
    if rng.random() < 0.5:
        return _with_constants(form, shape)
    number = torch.tensor(rng.uniform(-0.5, 0.5))
    return Applied(lambda s, x: apply(form, x, s.number), number=number)


MAKERS: dict[str, Maker] = {
    **dict.fromkeys(
        ("relu", "relu6", "sigmoid", "tanh", "hardswish", "silu", "hardsigmoid", "selu", "mish",
         "softsign", "logsigmoid", "tanhshrink", "rrelu", "absolute", "square", "exponential",
         "error_function", "sine", "cosine", "negate"),
        plain,
    ),
    **dict.fromkeys(("root", "rsqrt", "logarithm", "log1p"), _of_positive),
    **dict.fromkeys(("add", "subtract", "multiply"), _binary),
    **dict.fromkeys(("minimum", "maximum"), _extreme),
    **dict.fromkeys(("elu", "celu"), _elu),
    **dict.fromkeys(("hardshrink", "softshrink"), _shrink),
    "hardtanh": _hardtanh,
    "clamp": _clamp,
    "leaky": _leaky,
    "prelu": _prelu,
    "gelu": _gelu,
    "softplus": _softplus,
    "threshold": _threshold,
    "power": _power,
    "inverse_root": _inverse_root,
    "divide": _divide,
    "softmax": _softmax,
}  # fmt: skip
