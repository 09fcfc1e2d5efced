"""Capture of functions of one number that become tables of 256 values."""

from typing import Any

from torch import fx

from compress.errors import UnsupportedLayer
from compress.frontend.capture_elementwise import leaky, table
from compress.frontend.reader import Handler, Reader, label


def _plain(name: str) -> Handler:
    """A function without parameters."""

    def read(reader: Reader, node: fx.Node, x: fx.Node, inplace: bool = False) -> None:
        table(reader, node, x, name)

    return read


silu = _plain("silu")
mish = _plain("mish")
selu = _plain("selu")
softsign = _plain("softsign")
logsigmoid = _plain("logsigmoid")
tanhshrink = _plain("tanhshrink")
absolute = _plain("abs")
square = _plain("square")
root = _plain("root")
rsqrt = _plain("inverse_root")
exponential = _plain("exp")
logarithm = _plain("log")
log1p = _plain("log1p")
error_function = _plain("erf")
sine = _plain("sin")
cosine = _plain("cos")


def gelu(reader: Reader, node: fx.Node, x: fx.Node, approximate: str = "none") -> None:
    """x times the normal distribution's share below x, or its approximation by a tanh."""
    table(reader, node, x, "gelu" if approximate == "none" else "gelu_tanh")


def softplus(
    reader: Reader, node: fx.Node, x: fx.Node, beta: float = 1.0, threshold: float = 20.0
) -> None:
    """log(1 + exp(beta * x)) / beta, or x where beta * x is above the threshold."""
    table(reader, node, x, "softplus", beta, threshold)


def elu(
    reader: Reader, node: fx.Node, x: fx.Node, alpha: float = 1.0, inplace: bool = False
) -> None:
    """max(x, 0) + min(alpha * (exp(x) - 1), 0)."""
    table(reader, node, x, "elu", alpha)


def celu(
    reader: Reader, node: fx.Node, x: fx.Node, alpha: float = 1.0, inplace: bool = False
) -> None:
    """max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)."""
    table(reader, node, x, "celu", alpha)


def hardshrink(reader: Reader, node: fx.Node, x: fx.Node, lambd: float = 0.5) -> None:
    """x, or zero within -lambd .. lambd."""
    table(reader, node, x, "hardshrink", lambd)


def softshrink(reader: Reader, node: fx.Node, x: fx.Node, lambd: float = 0.5) -> None:
    """x moved by lambd towards zero, or zero within -lambd .. lambd."""
    table(reader, node, x, "softshrink", lambd)


def threshold(
    reader: Reader,
    node: fx.Node,
    x: fx.Node,
    threshold: float,
    value: float,
    inplace: bool = False,
) -> None:
    """x where it is above the threshold, else the value."""
    table(reader, node, x, "threshold", threshold, value)


def rrelu(
    reader: Reader,
    node: fx.Node,
    x: fx.Node,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
) -> None:
    """LeakyReLU with the mean slope: its slopes are random in training only."""
    leaky(reader, node, x, (lower + upper) / 2)


def shifted_rsqrt(reader: Reader, node: fx.Node, x: fx.Node, shift: float) -> None:
    """1 / sqrt(x + shift), a part of layer norm."""
    table(reader, node, x, "inverse_root", shift)


def power(reader: Reader, node: fx.Node, x: Any, exponent: Any) -> None:
    """A value to the power of a number."""
    if not isinstance(x, fx.Node) or not isinstance(exponent, int | float):
        raise UnsupportedLayer(
            f"{label(node)}: a power whose exponent is computed; allowed are numbers as exponents"
        )
    if exponent == 2:
        table(reader, node, x, "square")
    else:
        table(reader, node, x, "power", float(exponent))
