"""Operators over the steps of a sequence, and operators with states.

The tensors that `Lstm` and `Svdf` read as a state and write as its next value are a `Variable` of
the graph. A `Recurrence` starts each inference from zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from compress.ops.op import Op

RecurrentKind = Literal["gru", "lstm"]


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


@dataclass(frozen=True, slots=True)
class Recurrence(Op):
    """A GRU or LSTM as torch defines it: input (1,1,T,I) -> output (1,1,T,U), or (1,U) at the end.

    The hidden state is zero before the first step. Weights (U,I) and (U,U), int8 of one scale each,
    and biases int32 (U,) are those of the gates in torch's order: reset, update, new of a GRU,
    input, forget, cell, output of an LSTM. The input is int8 or int16, the output int16 of scale
    2**-15. Sums of gates have the scale 2**`sum_log2`, the cell state of an LSTM 2**`cell_log2`.

    It is defined as operators of TensorFlow Lite in every step: `compress.recurrent.unroll`.
    """

    input: int
    input_weights: tuple[int, ...]
    recurrent_weights: tuple[int, ...]
    input_biases: tuple[int, ...]
    recurrent_biases: tuple[int, ...]
    output: int
    kind: RecurrentKind
    sum_log2: int
    cell_log2: int = 0

    @property
    def constants(self) -> tuple[str, ...]:
        return ("input_weights", "recurrent_weights", "input_biases", "recurrent_biases")
