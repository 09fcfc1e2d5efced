"""Lstm: our own kernels on int8 and int16; they may write the next states over the states."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from compress.arithmetic.lstm import LstmParameters, Sums, lstm_parameters
from compress.arithmetic.sigmoid import SIGMOID_TABLE
from compress.ops import Lstm
from compress.recurrent.lstm import GATES
from compress.types import Graph
from hil.kernel_interface.call import Call, Constant, array, constant, factor
from hil.kernel_interface.operator_kernels import Kernel, OperatorKernels, always
from hil.types import Board, Step

_OFFSET_BYTES = 8  # of each unit of each gate: one int32 for the input, one for the hidden state


def _int16_kernels(graph: Graph, op: Lstm, board: Board) -> Iterator[Kernel]:
    """The cell state is int16 in either case."""
    yield Kernel("lstm_s16" if _wide(graph, op) else "lstm_s8")


def _call(graph: Graph, step: Step, op: Lstm) -> Call:
    p = lstm_parameters(graph, op)
    _, steps, depth = graph.tensors[op.input].shape
    # One table for all layers.
    table = array(
        "sigmoid_table", "uint16_t", np.array(SIGMOID_TABLE, np.uint16), "sigmoid(i / 24) * 65536"
    )
    constants: list[Constant] = [table]
    gates = [
        {
            **_sums(step, f"{name}_input", p.inputs[gate], constants, "input", _wide(graph, op)),
            **_sums(
                step,
                f"{name}_recurrent",
                p.recurrent[gate],
                constants,
                "recurrent",
                _wide(graph, op),
            ),
        }
        for gate, name in enumerate(GATES)
    ]
    values = {
        "steps": steps,
        "depth": depth,
        "units": graph.tensors[op.hidden].elements,
        "gates": gates,
        "products": _products(p),
        "output_offset": graph.tensors[op.output].zero_point,
        "cell_argument": p.cell_argument,
        "table": table.name,
        "clip": p.clip,
        "wide": _wide(graph, op),
    }
    return Call("lstm", values, constants=tuple(constants))


def _wide(graph: Graph, op: Lstm) -> bool:
    return graph.tensors[op.input].dtype == "int16"


def _products(p: LstmParameters) -> dict[str, tuple[int, int]]:
    """Multiplier and right shift by field; none of these factors is above 1."""
    pairs = {"forget": p.forget, "update": p.update, "output": p.hidden}
    return {field: (multiplier, -shift) for field, (multiplier, shift) in pairs.items()}


def _sums(
    step: Step, name: str, sums: Sums, constants: list[Constant], side: str, wide: bool
) -> dict[str, Any]:
    """Weights, offsets and factor of one side of a gate; its arrays join `constants`."""
    arrays = (
        constant(step, f"{name}_weights", "int8_t", sums.weights),
        constant(step, f"{name}_offsets", "int32_t", sums.offset.astype(np.int32)),
    )
    constants += arrays
    multiplier, shift = sums.factor
    return {
        f"{side}_weights": arrays[0].name,
        f"{side}_offsets": arrays[1].name,
        side: factor(multiplier, -shift if wide else shift),
    }


def _weight_bytes(graph: Graph, step: Step, op: Lstm) -> int:
    weights = (*op.input_weights, *op.recurrent_weights)
    offsets = len(GATES) * graph.tensors[op.hidden].elements * _OFFSET_BYTES
    return sum(graph.tensors[index].elements for index in weights) + offsets


OPERATORS = (
    OperatorKernels(
        op=Lstm,
        kernels=always("lstm_s8"),
        int16_kernels=_int16_kernels,
        call=_call,
        weight_bytes=_weight_bytes,
    ),
)
