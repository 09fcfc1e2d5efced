"""Operators that multiply by a matrix: of constant weights, or another activation."""

from __future__ import annotations

from dataclasses import dataclass

from compress.ops.op import Activation, Op


@dataclass(frozen=True, slots=True)
class FullyConnected(Op):
    """input of K elements * weights (N,K) + bias int32 (N,) -> output (1,N).

    An input (1,...,K) of several rows of K elements gives the output (1,...,N). The weights have
    one scale, or one per unit (axis 0).
    """

    input: int
    weights: int
    bias: int
    output: int
    activation: Activation = Activation.NONE

    @property
    def constants(self) -> tuple[str, ...]:
        return ("weights", "bias")


@dataclass(frozen=True, slots=True)
class BatchMatMul(Op):
    """left (1,...,M,K) * right (1,...,K,N) -> output (1,...,M,N), a matrix for each of `...`.

    With `transposed`, right is (1,...,N,K). Each tensor has its own scale.
    """

    left: int
    right: int
    output: int
    transposed: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        return ("left", "right")
