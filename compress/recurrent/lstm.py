"""Lstm: check, import and export of UNIDIRECTIONAL_SEQUENCE_LSTM on int8 and int16 (16x8).

`compress.arithmetic.lstm` has its integers and its kernel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import numpy as np
import tflite

from compress.arithmetic.lstm import lstm_kernel, lstm_parameters
from compress.errors import UnsupportedLayer
from compress.operator_interface.checks import check_same_scale, check_state, require
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.ops import Lstm
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator, FileTensor, TensorType
from compress.tflite_records.import_node import ImportNode
from compress.tflite_records.tensor import raw_bytes, type_name
from compress.types import Graph

GATES = ("input", "forget", "cell", "output")
_OPERANDS = 24
# Operands by position. Those that are neither named nor weights nor biases must be absent.
_HIDDEN, _CELL_STATE = 18, 19
_VARIANTS = {
    **dict.fromkeys((9, 10, 11), "peephole connections"),
    **dict.fromkeys((16, 17), "a projection"),
    **dict.fromkeys((20, 21, 22, 23), "layer normalization"),
}
_Four = tuple[int, int, int, int]


def _check(graph: Graph, op: Lstm) -> None:
    x, out, hidden, cell = (graph.tensors[i] for i in (op.input, op.output, op.hidden, op.cell))
    require(len(x.shape) == len(out.shape) == 3, op.name, f"{x.shape} to {out.shape}")
    units = out.shape[-1]
    require(x.shape[:2] == out.shape[:2], op.name, f"{x.shape} to {out.shape}")
    for state in (hidden, cell):
        require(state.shape == (1, units), op.name, f"state of shape {state.shape}")
    check_same_scale(op.name, hidden, out)
    if (x.dtype, hidden.dtype, cell.dtype) != (out.dtype, out.dtype, "int16"):
        raise UnsupportedLayer(
            f"{op.name}: input {x.dtype}, hidden state {hidden.dtype}, cell state {cell.dtype}, "
            f"output {out.dtype}: the cell state must be int16, the others of one type"
        )
    for indices, depth in ((op.input_weights, x.shape[2]), (op.recurrent_weights, units)):
        for index in indices:
            _check_constant(graph, op, index, (units, depth), "int8")
    for index in op.biases:
        _check_constant(graph, op, index, (units,), "int32")
    require(math.isfinite(op.cell_clip) and op.cell_clip >= 0, op.name, f"clip {op.cell_clip}")
    check_state(graph, op, op.hidden, op.next_hidden)
    check_state(graph, op, op.cell, op.next_cell)
    lstm_parameters(graph, op)


def _check_constant(graph: Graph, op: Lstm, index: int, shape: tuple[int, ...], dtype: str) -> None:
    """Require a constant of one scale and zero point 0."""
    tensor = graph.tensors[index]
    if tensor.data is None or tensor.dtype != dtype:
        raise UnsupportedLayer(f"{op.name}: {tensor.name} must be a constant {dtype}")
    require(tensor.shape == tensor.data.shape == shape, op.name, f"{tensor.name} {tensor.shape}")
    if len(tensor.scales) != 1 or tensor.zero_point != 0:
        raise UnsupportedLayer(f"{op.name}: {tensor.name} must have one scale and zero point 0")
    require(math.isfinite(tensor.scale) and tensor.scale > 0, op.name, f"scale {tensor.scale}")


def _macs(graph: Graph, op: Lstm) -> Mapping[int, int]:
    """Every step takes one multiplication per weight."""
    steps = graph.tensors[op.output].shape[1]
    found: dict[int, int] = {}
    for index in (*op.input_weights, *op.recurrent_weights):
        found[index] = found.get(index, 0) + steps * graph.tensors[index].elements
    return found


def _import(node: ImportNode) -> Lstm:
    inputs = node.stored.inputs + (-1,) * (_OPERANDS - len(node.stored.inputs))
    for position, variant in _VARIANTS.items():
        if inputs[position] >= 0:
            raise UnsupportedLayer(f"{node.label}: there is no integer LSTM with {variant}")
    if min(inputs[1:9]) < 0 or min(inputs[12:16]) < 0:
        raise UnsupportedLayer(f"{node.label}: there is no integer LSTM with coupled gates")
    options = node.stored.options
    if options.get("FusedActivationFunction") != tflite.ActivationFunctionType.TANH:
        raise UnsupportedLayer(f"{node.label}: the activation of an LSTM must be tanh")
    shape = node.tensors[node.input].shape
    if options.get("TimeMajor") and len(shape) == 3 and shape[0] != 1:
        raise UnsupportedLayer(
            f"{node.label}: input {shape} with time as the first axis, must be the second"
        )
    wide = node.type_of(node.input) == TensorType.INT16
    for index in inputs[12:16]:
        if (node.type_of(index) == TensorType.INT64) != wide:
            found, on = type_name(node.type_of(index)), type_name(node.type_of(node.input))
            raise UnsupportedLayer(f"{node.label}: bias of {found} on {on}")
    if inputs[_HIDDEN] == inputs[_CELL_STATE]:
        raise UnsupportedLayer(
            f"{node.label}: its hidden and its cell state are one tensor; must be two, that of the "
            "cell in int16"
        )
    hidden, next_hidden = node.state(_HIDDEN)
    cell, next_cell = node.state(_CELL_STATE)
    return Lstm(
        name=node.label,
        input=node.input,
        hidden=hidden,
        cell=cell,
        input_weights=cast("_Four", inputs[1:5]),
        recurrent_weights=cast("_Four", inputs[5:9]),
        biases=cast("_Four", inputs[12:16]),
        output=node.output,
        next_hidden=next_hidden,
        next_cell=next_cell,
        cell_clip=float(options.get("CellClip") or 0.0),
    )


def _export(context: ExportContext, op: Lstm) -> None:
    """Of the intermediate tensors TensorFlow Lite reads the quantization of the last one."""
    name, hidden = context.output_name(op), context.graph.tensors[op.hidden]
    if context.reads_int16(op):
        for index in op.biases:
            values = context.graph.tensors[index].data
            if values is not None:
                context.tensors[index] = replace(
                    context.tensors[index],
                    type=TensorType.INT64,
                    data=raw_bytes(values.astype(np.int64)),
                )
    gates = [FileTensor(f"{name}_{gate}", (0,), TensorType.FLOAT32) for gate in GATES]
    inner = context.tensors[op.hidden]
    last = FileTensor(f"{name}_hidden", (0,), inner.type, hidden.scales, inner.zero_points)
    operands = [-1] * _OPERANDS
    operands[0] = op.input
    operands[1:5] = op.input_weights
    operands[5:9] = op.recurrent_weights
    operands[12:16] = op.biases
    operands[_HIDDEN] = context.keep_state(op.hidden)
    operands[_CELL_STATE] = context.keep_state(op.cell)
    context.add(
        BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM,
        tuple(operands),
        op.output,
        {
            "FusedActivationFunction": tflite.ActivationFunctionType.TANH,
            "CellClip": op.cell_clip,
            "TimeMajor": False,
        },
        intermediates=tuple(context.add_tensor(tensor) for tensor in (*gates, last)),
    )


FAMILY = Family(
    operators=(
        Operator(
            op=Lstm,
            check=_check,
            kernel=lstm_kernel,
            export=_export,
            macs=_macs,
            on_int16=True,
            converts=True,
        ),
    ),
    builtins=(
        Builtin(
            BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM,
            1,
            _import,
            "UnidirectionalSequenceLSTMOptions",
            ("FusedActivationFunction", "CellClip", "TimeMajor"),
        ),
    ),
    limits=(
        "Without peepholes, projection, layer norm or coupled gates; time-major with one step "
        "only. The states last from one inference to the next."
    ),
)
