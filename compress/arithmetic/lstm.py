"""The integer LSTM on int8 and int16 (16x8): its parameters and the reference kernel.

Sources, of TensorFlow Lite for Microcontrollers: tensorflow/lite/micro/kernels/lstm_eval.h,
lstm_eval.cc and lstm_eval_common.cc. Gates are int16 in units of 2**-12 before their function and
of 2**-15 after it. TensorFlow Lite's own kernel differs (`compress.tflite.oracle`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from compress.arithmetic.fixedpoint import (
    INT16_MAX,
    INT16_MIN,
    Int64Array,
    multiply_by_quantized_multiplier,
    multiply_by_reduced_multiplier,
    named_multiplier,
    reduced_multiplier,
    scale_ratio,
    value_range,
)
from compress.arithmetic.sigmoid import logistic_int16, tanh_int16
from compress.arithmetic.tables import Kernel
from compress.errors import UnsupportedLayer
from compress.ops import Lstm
from compress.types import Array, Graph, IntArray, Tensor

_CELL = 2  # the gate whose function is the hyperbolic tangent
_GATE_SCALE = 2.0**-12
_UNIT_SCALE = 2.0**-15
_SMALLEST_CELL_LOG2 = -24
_GATE_ARGUMENT = (3, 0)  # of a function whose argument is in units of 2**-12


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """The sums that one gate takes from a vector: clamp(M(values @ weights.T + offset)), int16.

    `offset` is int64 (U,), less zero point * sum of weights and with the bias. M is the
    multiplication by (multiplier, shift) of `quantize_multiplier`, or on int16 by the pair
    (reduced, right) of `reduced_multiplier`.
    """

    weights: Array
    offset: Int64Array
    factor: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class LstmParameters:
    """The integers of an Lstm: sums by gate, and the factors of products of int16.

    `forget`, `update` and `hidden` are pairs of `quantize_multiplier`: forget gate * cell state,
    input gate * cell gate, output gate * tanh(cell state). `cell_argument`
    has multiplier and shift of the cell state as an argument of `tanh_int16`; it stays within
    -clip .. clip.
    """

    inputs: tuple[Sums, ...]
    recurrent: tuple[Sums, ...]
    forget: tuple[int, int]
    update: tuple[int, int]
    hidden: tuple[int, int]
    cell_argument: tuple[int, int]
    clip: int


def lstm_parameters(graph: Graph, op: Lstm) -> LstmParameters:
    """The parameters. Raises UnsupportedLayer for scales without a fixed-point form."""
    hidden, cell = graph.tensors[op.hidden], graph.tensors[op.cell]
    fraction, exponent = math.frexp(cell.scale)
    if fraction != 0.5 or not _SMALLEST_CELL_LOG2 <= exponent - 1 <= 0:
        raise UnsupportedLayer(
            f"{op.name}: the cell state's scale is {cell.scale:g}, must be a power of two from "
            f"2^{_SMALLEST_CELL_LOG2} to 1"
        )
    out_factor = named_multiplier(op.name, _UNIT_SCALE**2 / hidden.scale)
    if out_factor[1] > 0:
        raise UnsupportedLayer(f"{op.name}: the scale {hidden.scale:g} of its output is too small")
    clip = int(min(op.cell_clip / cell.scale, INT16_MAX)) if op.cell_clip > 0 else -INT16_MIN
    source = graph.tensors[op.input]
    no_bias: Int64Array = np.zeros(hidden.shape[-1], np.int64)
    return LstmParameters(
        inputs=tuple(
            _sums(graph, op, source, weights, _data(graph, bias).astype(np.int64))
            for weights, bias in zip(op.input_weights, op.biases, strict=True)
        ),
        recurrent=tuple(
            _sums(graph, op, hidden, weights, no_bias) for weights in op.recurrent_weights
        ),
        forget=named_multiplier(op.name, _UNIT_SCALE),
        update=named_multiplier(op.name, _UNIT_SCALE**2 / cell.scale),
        hidden=out_factor,
        cell_argument=(3 << max(exponent + 11, 0), max(-exponent - 11, 0)),
        clip=clip,
    )


def _sums(graph: Graph, op: Lstm, source: Tensor, index: int, bias: Int64Array) -> Sums:
    """The sums of one gate from one vector.

    Raises UnsupportedLayer where a sum could leave int32 or, on int16, where a scaled one could.
    """
    weights = graph.tensors[index]
    values = _data(graph, index)
    offset = bias - source.zero_point * values.sum(axis=1, dtype=np.int64)
    lowest, _ = value_range(source.dtype)
    products = -lowest * np.abs(values.astype(np.int64)).sum(axis=1)
    reach = int((products + np.abs(offset)).max())
    ratio = scale_ratio(graph, (source.scale, weights.scale), 1.0) / _GATE_SCALE
    factor = named_multiplier(op.name, ratio)
    if source.dtype == "int8":
        if reach >= 2**31:
            raise UnsupportedLayer(f"{op.name}: accumulators may reach {reach}, beyond int32")
        return Sums(values, offset, factor)
    try:
        reduced, right = reduced_multiplier(*factor)
    except ValueError as error:
        raise UnsupportedLayer(f"{op.name}: {error}") from None
    if reach >= 2**47 or (reach * reduced >> right) + 1 >= 2**31:
        raise UnsupportedLayer(f"{op.name}: accumulators may reach {reach}, too many for int16")
    return Sums(values, offset, (reduced, right))


def _data(graph: Graph, index: int) -> Array:
    data = graph.tensors[index].data
    if data is None:
        raise UnsupportedLayer(f"{graph.name}: {graph.tensors[index].name} is not a constant")
    return data


def lstm_kernel(graph: Graph, op: Lstm) -> Kernel:
    """The function from input (N,T,I), hidden and cell state (N,U) to output and next states."""
    p = lstm_parameters(graph, op)
    out = graph.tensors[op.output]
    wide = out.dtype == "int16"
    lo_hi = value_range(out.dtype)
    # No sum leaves 53 bits, so each is an integer that this type holds exactly.
    matrices = {id(s): s.weights.T.astype(np.float64) for s in (*p.inputs, *p.recurrent)}

    def sums(s: Sums, values: Int64Array) -> Int64Array:
        total = (values.astype(np.float64) @ matrices[id(s)]).astype(np.int64) + s.offset
        scale = multiply_by_reduced_multiplier if wide else multiply_by_quantized_multiplier
        return np.clip(scale(total, *s.factor), INT16_MIN, INT16_MAX)

    def run_op(
        x: IntArray, hidden: IntArray, cell: IntArray
    ) -> tuple[IntArray, IntArray, IntArray]:
        from_input = [sums(s, x.astype(np.int64)) for s in p.inputs]
        h, c = hidden.astype(np.int64), cell.astype(np.int64)
        outputs = np.empty((len(x), *out.shape[1:]), out.item)
        for step in range(out.shape[1]):
            gates = []
            for gate, (own, s) in enumerate(zip(from_input, p.recurrent, strict=True)):
                total = np.clip(own[:, step] + sums(s, h), INT16_MIN, INT16_MAX)
                function = tanh_int16 if gate == _CELL else logistic_int16
                gates.append(function(total, *_GATE_ARGUMENT))
            kept = _product(gates[1], c, p.forget)
            added = _product(gates[0], gates[2], p.update)
            c = np.clip(np.clip(kept + added, INT16_MIN, INT16_MAX), -p.clip, p.clip)
            h = multiply_by_quantized_multiplier(
                gates[3] * tanh_int16(c, *p.cell_argument), *p.hidden
            )
            h = np.clip(h + out.zero_point, *lo_hi)
            outputs[:, step] = h
        return outputs, h.astype(out.item), c.astype(np.int16)

    return run_op


def _product(left: Int64Array, right: Int64Array, factor: tuple[int, int]) -> Int64Array:
    """left * right scaled by `factor`, clamped to int16."""
    product = multiply_by_quantized_multiplier(left * right, *factor)
    return np.clip(product, INT16_MIN, INT16_MAX)
