"""Operators that reduce axes."""

from __future__ import annotations

from dataclasses import dataclass

from compress.ops.op import Op


@dataclass(frozen=True, slots=True)
class Mean(Op):
    """Mean over `axes`, in ascending order; the output keeps them with extent 1 or drops them."""

    input: int
    output: int
    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sum(Op):
    """Sum over `axes`, which are as in `Mean`; input and output have scales of their own."""

    input: int
    output: int
    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReduceMax(Op):
    """Maximum over `axes`, which are as in `Mean`; the output has the input's scale."""

    input: int
    output: int
    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReduceMin(Op):
    """Minimum over `axes`, which are as in `Mean`; the output has the input's scale."""

    input: int
    output: int
    axes: tuple[int, ...]
