"""Operators over windows of a map: convolutions and pools."""

from __future__ import annotations

from dataclasses import dataclass

from compress.ops.op import Activation, Op


@dataclass(frozen=True, slots=True)
class Padding:
    """Explicit padding in elements; the padded value is the input's zero point."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


@dataclass(frozen=True, slots=True)
class Conv2D(Op):
    """input (1,H,W,Cin) * weights (Cout,kh,kw,D) + bias int32 (Cout,) -> (1,H',W',Cout).

    D is Cin or, in a convolution in G groups, Cin / G: equal shares of the output channels, in
    order, read one share of the input channels each.
    """

    input: int
    weights: int
    bias: int
    output: int
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: Padding = Padding()
    activation: Activation = Activation.NONE

    @property
    def constants(self) -> tuple[str, ...]:
        return ("weights", "bias")


@dataclass(frozen=True, slots=True)
class DepthwiseConv2D(Op):
    """input (1,H,W,C) * weights (1,kh,kw,C*multiplier) + bias int32 -> (1,H',W',C*multiplier)."""

    input: int
    weights: int
    bias: int
    output: int
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: Padding = Padding()
    activation: Activation = Activation.NONE

    @property
    def constants(self) -> tuple[str, ...]:
        return ("weights", "bias")


@dataclass(frozen=True, slots=True)
class TransposeConv2D(Op):
    """input (1,H,W,Cin), weights (Cout,kh,kw,Cin), bias int32 (Cout,) -> (1,H',W',Cout).

    Pixel (i, j) of the input adds its products with tap (m, n) to pixel
    (i * stride + m - crop, j * stride + n - crop) of the output, if there is one: `crop` are the
    rows and columns cut off at the top and left.
    """

    input: int
    weights: int
    bias: int
    output: int
    stride: tuple[int, int] = (1, 1)
    crop: tuple[int, int] = (0, 0)
    activation: Activation = Activation.NONE

    @property
    def constants(self) -> tuple[str, ...]:
        return ("weights", "bias")


@dataclass(frozen=True, slots=True)
class AveragePool2D(Op):
    """Mean over the window's in-bounds elements; output has the input's scale and zero point."""

    input: int
    output: int
    filter: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding = Padding()
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class MaxPool2D(Op):
    """Maximum over the window's in-bounds elements; output has the input's scale and zero point."""

    input: int
    output: int
    filter: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding = Padding()
    activation: Activation = Activation.NONE
