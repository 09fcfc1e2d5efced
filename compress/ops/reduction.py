"""Operators that reduce axes."""

from __future__ import annotations

from dataclasses import dataclass

from compress.ops.op import Op


@dataclass(frozen=True, slots=True)
class Mean(Op):
    """Mean over consecutive axes; the output keeps them with extent 1 or drops them."""

    input: int
    output: int
    axes: tuple[int, ...]
