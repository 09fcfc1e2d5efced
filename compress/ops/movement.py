"""Operators that move elements without computing them."""

from __future__ import annotations

from dataclasses import dataclass

from compress.ops.op import Op


@dataclass(frozen=True, slots=True)
class Reshape(Op):
    """The same elements in the same order with another shape; costs nothing on the device."""

    input: int
    output: int


@dataclass(frozen=True, slots=True)
class Pad(Op):
    """The input with before[i] and after[i] elements of `value` around it along each axis i.

    Used only for padding that no convolution or pool can do itself.
    """

    input: int
    output: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    value: int


@dataclass(frozen=True, slots=True)
class Concatenate(Op):
    """Concatenation along `axis`; inputs and output share scale and zero point."""

    inputs: tuple[int, ...]
    output: int
    axis: int

    @property
    def reads(self) -> tuple[str, ...]:
        return ("inputs",)
