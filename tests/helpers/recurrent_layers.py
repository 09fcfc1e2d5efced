"""Operators with states, appended to a `GraphBuilder`; each function returns its output's index."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from compress.arithmetic.recurrence import GATE_NAMES, STATE_LOG2, wide_scale
from compress.ops import Lstm, Recurrence, RecurrentKind, Svdf
from compress.types import DType, Tensor, Variable
from helpers.graph_builder import GraphBuilder, float32

_VALUE_SPREAD = 74  # standard deviation of uniform int8
_GATES = range(4)


def append_lstm(
    b: GraphBuilder,
    source: int,
    units: int,
    *,
    scale: float = 2.0**-7,
    zero_point: int = -3,
    cell_log2: int = -11,
    clip: float = 0.0,
    gain: float = 1.0,
) -> int:
    """An LSTM on (1, T, I) whose gates spread over about -3 .. 3, times `gain`."""
    x, name = b.tensors[source], f"lstm_{len(b.ops)}"
    _, steps, depth = x.shape
    zero_point = 0 if x.dtype == "int16" else zero_point
    out_scale = scale / 256 if x.dtype == "int16" else scale
    hidden = Tensor(f"{name}_hidden", (1, units), x.dtype, (float32(out_scale),), zero_point)
    spread = 2.0 * gain / math.sqrt(2)
    weights, recurrent, biases = [], [], []
    for gate in _GATES:
        for into, of, width in ((weights, x, depth), (recurrent, hidden, units)):
            steps_of = _VALUE_SPREAD * (256 if of.dtype == "int16" else 1) * of.scale
            wanted = spread / (steps_of * _VALUE_SPREAD * math.sqrt(width))
            wanted *= b.rng.uniform(0.5, 2.0)
            into.append(_weights(b, f"{name}_{gate}", (units, width), wanted))
        bias_scale = float32(x.scale * b.tensors[weights[-1]].scale)
        limit = max(1, int(gain / bias_scale))
        values = b.rng.integers(-limit, limit + 1, units, dtype=np.int32)
        bias = Tensor(f"{name}_bias_{gate}", (units,), "int32", (bias_scale,), data=values)
        biases.append(_append(b, bias))
    cell_state = Tensor(f"{name}_cell", (1, units), "int16", (2.0**cell_log2,))
    states = [_append_state(b, state) for state in (hidden, cell_state)]
    shape = (1, steps, units)
    out = _append(b, Tensor(name, shape, x.dtype, hidden.scales, zero_point))
    (read, written), (cell, next_cell) = states
    b.ops.append(
        Lstm(
            name,
            source,
            read,
            cell,
            (weights[0], weights[1], weights[2], weights[3]),
            (recurrent[0], recurrent[1], recurrent[2], recurrent[3]),
            (biases[0], biases[1], biases[2], biases[3]),
            out,
            written,
            next_cell,
            clip,
        )
    )
    return out


def append_recurrence(
    b: GraphBuilder,
    source: int,
    units: int,
    kind: RecurrentKind,
    *,
    last_only: bool = False,
    sum_log2: int = -12,
    cell_log2: int = -13,
    gain: float = 1.0,
) -> int:
    """A GRU or LSTM on (1, 1, T, I) whose gates spread over about -3 .. 3, times `gain`."""
    x, name = b.tensors[source], f"{kind}_{len(b.ops)}"
    depth, spread = x.shape[-1], 2.0 * gain / math.sqrt(2)
    state_scale, x_scale = 2.0**STATE_LOG2, float32(wide_scale(x))
    groups: list[list[int]] = [[], [], [], []]
    for gate in GATE_NAMES[kind]:
        for side, (scale, width) in enumerate(((x_scale, depth), (state_scale, units))):
            wanted = spread / (2**15 * 0.5 * scale * _VALUE_SPREAD * math.sqrt(width))
            weights = _weights(b, f"{name}_{gate}_{side}", (units, width), wanted)
            bias_scale = float32(np.float32(scale) * np.float32(b.tensors[weights].scale))
            limit = min(2**30, max(1, int(gain / bias_scale)))
            values = b.rng.integers(-limit, limit + 1, units, dtype=np.int32)
            bias = Tensor(f"{name}_{gate}_{side}_bias", (units,), "int32", (bias_scale,))
            groups[side].append(weights)
            groups[2 + side].append(_append(b, replace(bias, data=values)))
    shape = (1, units) if last_only else (*x.shape[:3], units)
    out = _append(b, Tensor(name, shape, "int16", (state_scale,)))
    cell = {"cell_log2": cell_log2} if kind == "lstm" else {}
    b.ops.append(
        Recurrence(name, source, *map(tuple, groups), out, kind, sum_log2, **cell)  # type: ignore[arg-type]
    )
    return out


def append_svdf(
    b: GraphBuilder,
    source: int,
    units: int,
    *,
    rank: int = 2,
    memory: int = 5,
    dtype: DType = "int8",
    state_zero_point: int = 11,
    zero_point: int = -20,
    gain: float = 1.0,
) -> int:
    """An SVDF on (1, I) with state and time weights of `dtype`."""
    x, name = b.tensors[source], f"svdf_{len(b.ops)}"
    filters, depth = units * rank, x.shape[1]
    wide = dtype == "int16"
    features = _weights(b, f"{name}_feature", (filters, depth), 0.01)
    spread = x.scale * 0.01 * _VALUE_SPREAD**2 * math.sqrt(depth)
    state_scale = float32(3 * spread / (2**15 if wide else 2**7))
    state = Tensor(
        f"{name}_state",
        (1, filters * memory),
        dtype,
        (state_scale,),
        0 if wide else state_zero_point,
    )
    highest = 2**15 - 1 if wide else 127
    values = b.rng.integers(-highest, highest + 1, (filters, memory)).astype(dtype)
    time_scale = float32(0.5 / highest)
    time = _append(b, Tensor(f"{name}_time", (filters, memory), dtype, (time_scale,), data=values))
    bias_scale = float32(np.float32(state_scale) * np.float32(time_scale))
    limit = max(1, int(spread / bias_scale))
    bias_values = b.rng.integers(-limit, limit + 1, units, dtype=np.int32)
    bias = _append(b, Tensor(f"{name}_bias", (units,), "int32", (bias_scale,), data=bias_values))
    read, written = _append_state(b, state)
    out_scale = float32(gain * spread * math.sqrt(memory * rank) / 2**7)
    out = _append(b, Tensor(name, (1, units), "int8", (out_scale,), zero_point))
    b.ops.append(Svdf(name, source, read, features, time, bias, out, written, rank))
    return out


def _weights(b: GraphBuilder, name: str, shape: tuple[int, ...], scale: float) -> int:
    values = b.rng.integers(-127, 128, shape, dtype=np.int8)
    return _append(b, Tensor(f"{name}_weights", shape, "int8", (float32(scale),), data=values))


def _append(b: GraphBuilder, tensor: Tensor) -> int:
    b.tensors.append(tensor)
    return len(b.tensors) - 1


def _append_state(b: GraphBuilder, state: Tensor) -> tuple[int, int]:
    """The state as it is read, and as it is written; its first value is its zero point."""
    read = _append(b, state)
    written = _append(
        b, Tensor(f"{state.name}_next", state.shape, state.dtype, state.scales, state.zero_point)
    )
    first = np.full(state.shape, state.zero_point, state.item)
    b.variables.append(Variable(read, written, first))
    return read, written
