"""Functions of one number that become tables: torch's own, by name."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor as Values
from torch.nn import functional

from compress.frontend.layers import Pointwise
from compress.types import Array

FUNCTIONS: Mapping[str, Callable[..., Values]] = {
    "abs": torch.abs,
    "add": torch.add,
    "affine": lambda x, scale, shift: x * scale + shift,
    "celu": functional.celu,
    "clamp": torch.clamp,
    "cos": torch.cos,
    "elu": functional.elu,
    "erf": torch.erf,
    "exp": torch.exp,
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "hardshrink": functional.hardshrink,
    "hardswish": functional.hardswish,
    "identity": lambda x: x,
    "leaky_relu": functional.leaky_relu,
    "log": torch.log,
    "log1p": torch.log1p,
    "logsigmoid": functional.logsigmoid,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "mish": functional.mish,
    "mul": torch.mul,
    "power": lambda x, exponent: x**exponent,
    "quotient": lambda x, dividend: dividend / x,
    "root": torch.sqrt,
    "inverse_root": lambda x, shift=0.0: torch.rsqrt(x + shift),
    "selu": functional.selu,
    "sigmoid": torch.sigmoid,
    "silu": functional.silu,
    "sin": torch.sin,
    "softplus": functional.softplus,
    "softshrink": functional.softshrink,
    "softsign": functional.softsign,
    "square": torch.square,
    "subtract": torch.sub,
    "tanh": torch.tanh,
    "tanhshrink": functional.tanhshrink,
    "threshold": functional.threshold,
}


def apply_pointwise(function: Pointwise, x: Values) -> Values:
    """The function of each element of x, in the type of x."""
    operands = [apply_pointwise(part, x) for part in function.inputs] or [x]
    return FUNCTIONS[function.name](*operands, *function.parameters)


def tabulated(function: Pointwise, x: Array) -> Array:
    """The function of rising numbers x, float64 (numbers,); all are finite.

    Where it is not defined, or infinite, it has the value of the nearest number where it is.
    """
    with torch.no_grad():
        made: Array = apply_pointwise(function, torch.from_numpy(x.astype(np.float64))).numpy()
    defined = np.flatnonzero(np.isfinite(made))
    if len(defined) == 0:
        return np.zeros_like(made)
    nearest = np.abs(np.arange(len(made))[:, np.newaxis] - defined).argmin(axis=1)
    values: Array = made[defined[nearest]]
    return values
