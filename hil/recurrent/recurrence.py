"""Recurrence: our own kernels, loops over the steps that share one copy of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from compress.arithmetic.recurrence import GATE_NAMES, GateSums, recurrence_parameters, units_of
from compress.arithmetic.sigmoid import SIGMOID_TABLE
from compress.ops import Recurrence, RecurrentKind
from compress.types import Graph
from hil.kernel_interface.call import Call, Constant, array, constant
from hil.kernel_interface.operator_kernels import Kernel, OperatorKernels, always
from hil.types import Board, Step

_NAMES: dict[RecurrentKind, str] = {"gru": "gru_s16", "lstm": "lstm_reset_s16"}
_STATES: dict[RecurrentKind, int] = {"gru": 2, "lstm": 3}  # present, next and cell state
_ITEM_BYTES = 2


def _kernels(graph: Graph, op: Recurrence, board: Board) -> Iterator[Kernel]:
    """Scratch holds the states and, of an int8 input, one step as int16."""
    x = graph.tensors[op.input]
    elements = _STATES[op.kind] * units_of(graph, op) + (x.shape[-1] if x.dtype == "int8" else 0)
    yield Kernel(_NAMES[op.kind], _ITEM_BYTES * elements)


def _call(graph: Graph, step: Step, op: Recurrence) -> Call:
    if step.scratch is None:
        raise ValueError(f"{op.name}: its states have no place")
    p, x = recurrence_parameters(graph, op), graph.tensors[op.input]
    # One table for all layers.
    table = array(
        "sigmoid_table", "uint16_t", np.array(SIGMOID_TABLE, np.uint16), "sigmoid(i / 24) * 65536"
    )
    constants: list[Constant] = [table]
    sides = {
        side: [
            _sums(step, f"{gate}_{side}", sums, constants)
            for gate, sums in zip(GATE_NAMES[op.kind], all_sums, strict=True)
        ]
        for side, all_sums in (("input", p.inputs), ("recurrent", p.recurrent))
    }
    values = {
        "steps": x.shape[-2],
        "depth": x.shape[-1],
        "units": units_of(graph, op),
        "wide": int(x.dtype == "int16"),
        "last_only": int(len(graph.tensors[op.output].shape) == 2),
        "input_offset": -x.zero_point,
        "sides": sides,
        "argument": p.argument,
        "cell_argument": p.cell_argument,
        "added": (p.update[0], -p.update[1]),
        "table": table.name,
        "scratch": step.scratch.offset_bytes,
    }
    return Call("recurrence", values, constants=tuple(constants))


def _sums(step: Step, name: str, sums: GateSums, constants: list[Constant]) -> dict[str, Any]:
    """Weights, offsets and factor of one side of a gate; its arrays join `constants`."""
    weights = constant(step, f"{name}_weights", "int8_t", sums.weights)
    constants.append(weights)
    offsets = "NULL"
    if sums.offset.any():
        constants.append(constant(step, f"{name}_offsets", "int32_t", sums.offset.astype(np.int32)))
        offsets = constants[-1].name
    return {"weights": weights.name, "offsets": offsets, "factor": sums.factor}


def _weight_bytes(graph: Graph, step: Step, op: Recurrence) -> int:
    p = recurrence_parameters(graph, op)
    sides = (*p.inputs, *p.recurrent)
    offsets = sum(4 * s.offset.size for s in sides if s.offset.any())
    return sum(s.weights.size for s in sides) + offsets


OPERATORS = (
    OperatorKernels(
        op=Recurrence,
        kernels=always("gru_s16"),
        int16_kernels=_kernels,
        call=_call,
        weight_bytes=_weight_bytes,
    ),
)
