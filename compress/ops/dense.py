"""Operators that multiply a vector by a matrix of constant weights."""

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
