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
    """Concatenation along `axis`; inputs, constants and output share scale and zero point.

    `places` are the positions of the `fixed` parts, which are constants, among all parts, rising.
    """

    inputs: tuple[int, ...]
    output: int
    axis: int
    fixed: tuple[int, ...] = ()
    places: tuple[int, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        return ("inputs",)

    @property
    def constants(self) -> tuple[str, ...]:
        return ("fixed",)

    @property
    def parts(self) -> tuple[int, ...]:
        """The tensor indices of all parts in order."""
        parts = list(self.inputs)
        for place, index in zip(self.places, self.fixed, strict=True):
            parts.insert(place, index)
        return tuple(parts)


@dataclass(frozen=True, slots=True)
class StridedSlice(Op):
    """Output element i along each axis is element begin + i * stride of the input.

    The output's extents say how many. A negative stride reverses the axis.
    """

    input: int
    output: int
    begin: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Transpose(Op):
    """Axis i of the output is axis permutation[i] of the input."""

    input: int
    output: int
    permutation: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Gather(Op):
    """Output element i along `axis` is element indices[i] of the input; the other axes stay."""

    input: int
    output: int
    axis: int
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BroadcastTo(Op):
    """Axes of extent 1 repeated to the extents of the output, which has the same rank."""

    input: int
    output: int
