"""The integer GRU and LSTM of `Recurrence`: their parameters and the reference kernel.

A step is made of operators of TensorFlow Lite on int16 (16x8), and every scale inside is a power of
two: sums and products are rounded by `multiply_by_quantized_multiplier` with such factors alone.
`compress.recurrent.unroll` writes the same steps as operators. The equations are those of
`torch.nn.GRU` and `torch.nn.LSTM`; the new state of a GRU, (1 - z) * n + z * h, is computed as
n + z * (h - n).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from compress.arithmetic.accumulate import accumulator_offset, accumulator_reach
from compress.arithmetic.fixedpoint import (
    INT16_MAX,
    INT16_MIN,
    Int64Array,
    multiply_by_quantized_multiplier,
    multiply_by_reduced_multiplier,
    quantize_multiplier,
    reduced_multipliers,
)
from compress.arithmetic.functions_int16 import argument_multiplier
from compress.arithmetic.sigmoid import logistic_int16, tanh_int16
from compress.arithmetic.tables import Kernel
from compress.errors import UnsupportedLayer
from compress.ops import FullyConnected, Function, Lookup, Recurrence, RecurrentKind
from compress.types import Array, Graph, IntArray, Tensor

GATE_NAMES: dict[RecurrentKind, tuple[str, ...]] = {
    "gru": ("reset", "update", "new"),
    "lstm": ("input", "forget", "cell", "output"),
}
# Gates whose function is the hyperbolic tangent; that of the others is the logistic function.
TANH_GATES = ("new", "cell")
STATE_LOG2 = -15  # of the hidden state and of what the functions return
DIFFERENCE_LOG2 = -14  # of h - n, and of its product with the update gate
# The bits by which an int8 is shifted to become an int16 of the same real value: scale / 128.
WIDENING_SHIFT = 7


@dataclass(frozen=True, slots=True, eq=False)
class GateSums:
    """What one side adds to a gate: clamp((values @ weights.T + offset) * reduced >> right).

    Rounded as `multiply_by_reduced_multiplier`. `weights` is int8 (U, depth), `offset` int64 (U,).
    """

    weights: Array
    offset: Int64Array
    factor: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class RecurrenceParameters:
    """The integers of a Recurrence: sums by gate, and factors.

    `argument` has multiplier and right shift of a gate's sum as an argument of `logistic_int16` and
    `tanh_int16`, `cell_argument` those of the cell state. `update` is the pair of
    `quantize_multiplier` of input gate * cell gate. All other products are scaled by `SHARE`.
    """

    inputs: tuple[GateSums, ...]
    recurrent: tuple[GateSums, ...]
    argument: tuple[int, int]
    cell_argument: tuple[int, int]
    update: tuple[int, int]


# The factor of a product with a number between -1 and 1 in units of 2**-15.
SHARE = quantize_multiplier(2.0**STATE_LOG2)


_ByGate = tuple[FullyConnected, ...]


@dataclass(frozen=True, slots=True, eq=False)
class StepGraph:
    """The graph of a Recurrence with the tensors that its steps compute, and the gates' operators.

    `wide` is the input as int16, `hidden` the state, `sums` the sum of a gate, `cell` the cell
    state; their shapes are those of one step.
    """

    graph: Graph
    wide: int
    hidden: int
    sums: int
    cell: int
    inputs: _ByGate
    recurrent: _ByGate


def wide_scale(x: Tensor) -> float:
    """The scale of the int16 that a step reads of the input `x`."""
    return x.scale if x.dtype == "int16" else x.scale / 2**WIDENING_SHIFT


def units_of(graph: Graph, op: Recurrence) -> int:
    return graph.tensors[op.output].shape[-1]


def step_graph(graph: Graph, op: Recurrence) -> StepGraph:
    """One step of `op` as a graph of its own."""
    x, units, name = graph.tensors[op.input], units_of(graph, op), op.name
    first = len(graph.tensors)
    wide, hidden, sums, cell = range(first, first + 4)
    tensors = (
        *graph.tensors,
        Tensor(f"{name}.wide", (1, x.shape[-1]), "int16", (wide_scale(x),)),
        Tensor(f"{name}.hidden", (1, units), "int16", (2.0**STATE_LOG2,)),
        Tensor(f"{name}.sums", (1, units), "int16", (2.0**op.sum_log2,)),
        Tensor(f"{name}.cell", (1, units), "int16", (2.0**op.cell_log2,)),
    )

    def side(
        source: int, suffix: str, weights: tuple[int, ...], biases: tuple[int, ...]
    ) -> _ByGate:
        return tuple(
            FullyConnected(f"{name}.{gate}.{suffix}", source, weight, bias, sums)
            for gate, weight, bias in zip(GATE_NAMES[op.kind], weights, biases, strict=True)
        )

    return StepGraph(
        graph=replace(graph, tensors=tensors),
        wide=wide,
        hidden=hidden,
        sums=sums,
        cell=cell,
        inputs=side(wide, "input", op.input_weights, op.input_biases),
        recurrent=side(hidden, "recurrent", op.recurrent_weights, op.recurrent_biases),
    )


def recurrence_parameters(graph: Graph, op: Recurrence) -> RecurrenceParameters:
    """The parameters.

    Raises UnsupportedLayer for scales without a fixed-point form, and where a sum of products could
    leave int32, which the kernels in C add up in.
    """
    step = step_graph(graph, op)
    update = 2.0 ** (2 * STATE_LOG2 - op.cell_log2)
    return RecurrenceParameters(
        inputs=tuple(_gate_sums(step.graph, fully) for fully in step.inputs),
        recurrent=tuple(_gate_sums(step.graph, fully) for fully in step.recurrent),
        argument=_argument(step, op, step.sums),
        cell_argument=_argument(step, op, step.cell) if op.kind == "lstm" else (0, 0),
        update=quantize_multiplier(update) if op.kind == "lstm" else (0, 0),
    )


def _gate_sums(graph: Graph, op: FullyConnected) -> GateSums:
    weights = graph.tensors[op.weights].data
    if weights is None:
        raise UnsupportedLayer(f"{op.name}: weights must be constants")
    offset = accumulator_offset(graph, op)
    if (reach := max(accumulator_reach(graph, op))) >= 2**31:
        raise UnsupportedLayer(f"{op.name}: sums may reach {reach}, beyond int32")
    (factor,) = reduced_multipliers(graph, op)
    return GateSums(weights, offset, factor)


def _argument(step: StepGraph, op: Recurrence, source: int) -> tuple[int, int]:
    """Both functions have the same argument: their tables do, and the scale is a power of two."""
    pairs = [
        argument_multiplier(step.graph, Lookup(op.name, source, step.hidden, function))
        for function in (Function.LOGISTIC, Function.TANH)
    ]
    ratios = {multiplier * 2.0**-places for multiplier, places in pairs}
    if len(ratios) > 1:
        raise UnsupportedLayer(f"{op.name}: scale {step.graph.tensors[source].scale:g} of a sum")
    return pairs[0]


State = tuple[Int64Array, Int64Array]  # hidden and cell state (N, U)
_Sides = tuple[list[Int64Array], list[Int64Array]]  # of each gate, from input and hidden state


def recurrence_kernel(graph: Graph, op: Recurrence) -> Kernel:
    """The function from input (N,1,T,I) to the hidden states (N,1,T,U), or the last one (N,U)."""
    p, units = recurrence_parameters(graph, op), units_of(graph, op)
    x, last_only = graph.tensors[op.input], len(graph.tensors[op.output].shape) == 2
    # No sum leaves 53 bits, so each is an integer that this type holds exactly.
    sides = [(s, s.weights.T.astype(np.float64)) for s in (*p.inputs, *p.recurrent)]
    of_input, of_hidden = sides[: len(p.inputs)], sides[len(p.inputs) :]
    advance = _gru_step if op.kind == "gru" else _lstm_step

    def run_op(values: IntArray) -> IntArray:
        wide = values.astype(np.int64).reshape(len(values), *x.shape[-2:])
        if x.dtype == "int8":
            wide = (wide - x.zero_point) << WIDENING_SHIFT
        own = [_sums(s, matrix, wide) for s, matrix in of_input]
        state: State = (np.zeros((len(values), units), np.int64),) * 2
        outputs = np.empty((len(values), 1, x.shape[-2], units), np.int16)
        for step in range(x.shape[-2]):
            recurrent = [_sums(s, matrix, state[0]) for s, matrix in of_hidden]
            state = advance(p, ([gate[:, step] for gate in own], recurrent), state)
            outputs[:, 0, step] = state[0]
        return outputs[:, 0, -1] if last_only else outputs

    return run_op


def _sums(s: GateSums, matrix: Array, values: Int64Array) -> Int64Array:
    total = (values.astype(np.float64) @ matrix).astype(np.int64) + s.offset
    return _int16(multiply_by_reduced_multiplier(total, *s.factor))


def _gru_step(p: RecurrenceParameters, sides: _Sides, state: State) -> State:
    (from_x, from_h), (h, cell) = sides, state
    r = logistic_int16(_int16(from_x[0] + from_h[0]), *p.argument)
    z = logistic_int16(_int16(from_x[1] + from_h[1]), *p.argument)
    n = tanh_int16(_int16(from_x[2] + _scaled(r * from_h[2], SHARE)), *p.argument)
    # In twice the unit of both a difference cannot leave int16; SUB halves it by way of this shift.
    difference = _scaled((h - n) << 14, SHARE)
    return _int16(n + 2 * _scaled(z * difference, SHARE)), cell


def _lstm_step(p: RecurrenceParameters, sides: _Sides, state: State) -> State:
    gates = [_int16(x + h) for x, h in zip(*sides, strict=True)]
    functions: list[Callable[[Int64Array, int, int], Int64Array]]
    functions = [logistic_int16, logistic_int16, tanh_int16, logistic_int16]
    i, f, g, o = (
        function(gate, *p.argument) for function, gate in zip(functions, gates, strict=True)
    )
    cell = _int16(_scaled(f * state[1], SHARE) + _scaled(i * g, p.update))
    return _scaled(o * tanh_int16(cell, *p.cell_argument), SHARE), cell


def _scaled(values: Int64Array, factor: tuple[int, int]) -> Int64Array:
    return _int16(multiply_by_quantized_multiplier(values, *factor))


def _int16(values: Int64Array) -> Int64Array:
    return np.clip(values, INT16_MIN, INT16_MAX)
