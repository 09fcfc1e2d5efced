"""Operators that keep states from one inference to the next.

The tensors that they read as a state and write as its next value are a `Variable` of the graph.
"""

from __future__ import annotations

from dataclasses import dataclass

from compress.ops.op import Op


@dataclass(frozen=True, slots=True)
class Lstm(Op):
    """A long short-term memory over the steps of input (1,T,I) -> output (1,T,U).

    Weights and bias int32 (U,) are those of the gates input, forget, cell and output, in this
    order: (U,I) of `input_weights` and (U,U) of `recurrent_weights`, int8 of one scale each. The
    hidden state (1,U) is quantized as the output; the cell state is int16, its scale a power of
    two. `cell_clip` bounds the real value of the cell state unless it is 0.
    """

    input: int
    hidden: int
    cell: int
    input_weights: tuple[int, int, int, int]
    recurrent_weights: tuple[int, int, int, int]
    biases: tuple[int, int, int, int]
    output: int
    next_hidden: int
    next_cell: int
    cell_clip: float = 0.0

    @property
    def reads(self) -> tuple[str, ...]:
        return ("input", "hidden", "cell")

    @property
    def constants(self) -> tuple[str, ...]:
        return ("input_weights", "recurrent_weights", "biases")

    @property
    def writes(self) -> tuple[str, ...]:
        return ("output", "next_hidden", "next_cell")

    @property
    def states(self) -> tuple[tuple[str, str], ...]:
        return (("hidden", "next_hidden"), ("cell", "next_cell"))


@dataclass(frozen=True, slots=True)
class Svdf(Op):
    """A rank-R filter over features and time, input (1,I) -> output (1,U).

    Each of F = U * R filters multiplies its row of `feature_weights` int8 (F,I) with the input. The
    state (1, F * M) has the last M products of each filter; `time_weights` (F,M) weigh them, and
    an output is the sum of R filters and of the bias int32 (U,). State and time weights are both
    int8 or both int16.
    """

    input: int
    state: int
    feature_weights: int
    time_weights: int
    bias: int
    output: int
    next_state: int
    rank: int

    @property
    def reads(self) -> tuple[str, ...]:
        return ("input", "state")

    @property
    def constants(self) -> tuple[str, ...]:
        return ("feature_weights", "time_weights", "bias")

    @property
    def writes(self) -> tuple[str, ...]:
        return ("output", "next_state")

    @property
    def states(self) -> tuple[tuple[str, str], ...]:
        return (("state", "next_state"),)
