"""Operators that an oracle lacks for a type, or computes otherwise than the specification says.

`compress.tflite.oracle` refuses models with them.

tflite-micro:
- GATHER, RESIZE_BILINEAR, REDUCE_MAX and REDUCE_MIN do not exist on int16, EXP on no integers, TILE
  at all; STRIDED_SLICE, TRANSPOSE and BROADCAST_TO take fewer axes.
- STRIDED_SLICE takes neither new axes nor an ellipsis, and a range for each axis.
- SPACE_TO_BATCH_ND pads with 0, not with the zero point. It makes as many maps as its output is
  stated to have: for an unknown batch, converters state 1.
- RELU_N1_TO_1 does not exist.
- RELU6 that stands alone only clamps: it ignores a change of scale or zero point.
- LOGISTIC and TANH on int8 are computed in fixed point, where TensorFlow Lite has tables made in
  float32. The two may round apart where the real function is a tie (4 of 1,000 random LOGISTICs had
  such an entry, at most 0.00002 from it). Inputs are Q4.27, cut off at 15 / 2^ceil(log2 scale)
  steps of the input: that is too early for LOGISTIC from a scale of 2 and for TANH from 8.

tflite-runtime 2.14:
- ELU does not exist among the reference kernels.
- FULLY_CONNECTED takes the second dimension of the output for its units, which is wrong where there
  are more than two; later releases take the last one.
- QUANTIZE does not exist from int8 to int32.
- SUM takes int8 for uint8, and adds int16 without a change of scale.
- UNIDIRECTIONAL_SEQUENCE_LSTM computes the gates' functions with gemmlowp's fixed point instead of
  a table, and rounds products with the cell state once instead of twice.
- SVDF takes an int8 state for int16, and demands ReLU, which it does not compute. With an int16
  state and ReLU that the zero point implies, it is equal.
"""

from __future__ import annotations

from math import prod

import numpy as np
import tflite

from compress.tflite_records.file import BuiltinOperator, File, FileOperator, FileTensor, TensorType
from compress.tflite_records.tensor import type_name

_TIE_WIDTH = 2.0**-14  # of an output unit; float32 and fixed point were within 0.00002 of a tie
# Output units per one of LOGISTIC and TANH, and the first input scale that is cut off too early.
_FIXED_POINT = {BuiltinOperator.LOGISTIC: (256.0, 2.0), BuiltinOperator.TANH: (128.0, 8.0)}
_ABSENT_IN_MICRO = {
    (BuiltinOperator.GATHER, TensorType.INT16),
    (BuiltinOperator.TILE, TensorType.INT8),
    (BuiltinOperator.TILE, TensorType.INT16),
    (BuiltinOperator.RESIZE_BILINEAR, TensorType.INT16),
    (BuiltinOperator.REDUCE_MAX, TensorType.INT16),
    (BuiltinOperator.REDUCE_MIN, TensorType.INT16),
    (BuiltinOperator.EXP, TensorType.INT8),
}
# Inputs and outputs that are looked at here, where they are not just the first input.
_FEWEST_OPERANDS = {
    BuiltinOperator.RELU6: (1, 1),
    BuiltinOperator.QUANTIZE: (1, 1),
    BuiltinOperator.STRIDED_SLICE: (2, 0),
    BuiltinOperator.SPACE_TO_BATCH_ND: (3, 1),
}
_LARGEST_RANKS_OF_MICRO = {
    BuiltinOperator.STRIDED_SLICE: 4,
    BuiltinOperator.TRANSPOSE: 5,
    BuiltinOperator.BROADCAST_TO: 5,
}


def lacking_operands(operator: FileOperator) -> str:
    """Why an operator that no import has checked cannot be looked at; '' if it can."""
    inputs, outputs = _FEWEST_OPERANDS.get(operator.code, (1, 0))
    if len(operator.inputs) >= inputs and len(operator.outputs) >= outputs:
        return ""
    return f"has {len(operator.inputs)} inputs and {len(operator.outputs)} outputs"


def gap_in_micro(file: File, operator: FileOperator) -> str:
    """Why tflite-micro cannot judge an operator, or ''."""
    source = file.tensors[operator.inputs[0]]
    if operator.code == BuiltinOperator.RELU_N1_TO_1:
        return "does not exist there"
    if operator.code == BuiltinOperator.RELU6:
        out = file.tensors[operator.outputs[0]]
        changes = (source.scales, source.zero_points) != (out.scales, out.zero_points)
        return "changes scale or zero point, which it ignores" if changes else ""
    if operator.code in _FIXED_POINT and source.type != TensorType.INT16:
        return _apart_in_fixed_point(operator.code, source)
    if (operator.code, source.type) in _ABSENT_IN_MICRO:
        return f"does not exist there on {type_name(source.type)}"
    rank = max(len(file.tensors[i].shape) for i in (operator.inputs[0], *operator.outputs))
    if rank > _LARGEST_RANKS_OF_MICRO.get(operator.code, rank):
        return f"of {rank} axes does not exist there"
    match operator.code:
        case BuiltinOperator.STRIDED_SLICE:
            new = any(operator.options.get(f"{what}Mask", 0) for what in ("NewAxis", "Ellipsis"))
            fewer = file.tensors[operator.inputs[1]].shape != (len(source.shape),)
            return "of some axes, or with new ones, does not exist there" if new or fewer else ""
        case BuiltinOperator.SPACE_TO_BATCH_ND:
            return _apart_in_batches(file, operator)
        case _:
            return ""


def _apart_in_batches(file: File, operator: FileOperator) -> str:
    """Why SPACE_TO_BATCH_ND may differ; '' if it cannot."""
    source, block, pads = (file.tensors[index] for index in operator.inputs[:3])
    out = file.tensors[operator.outputs[0]]
    if any(source.zero_points) and (pads.data is None or pads.data.any()):
        return "pads with 0, not with the zero point"
    parts = 0 if block.data is None else prod(np.frombuffer(block.data.tobytes(), "<i4").tolist())
    stated = out.shape[:1] == (source.shape[0] * parts,)
    return "" if stated else "has an output of another batch than its block makes"


def _apart_in_fixed_point(code: int, source: FileTensor) -> str:
    """Why fixed point and a float32 table of LOGISTIC or TANH may differ; '' if they cannot."""
    units, first_cut = _FIXED_POINT[code]
    if len(source.scales) != 1 or len(source.zero_points) != 1:
        return "has an input without one scale"
    if source.scales[0] >= first_cut:
        return f"has an input scale of {source.scales[0]:g}, it needs one below {first_cut:g}"
    x = source.scales[0] * (np.arange(-128, 128, dtype=np.float64) - source.zero_points[0])
    real = np.tanh(x) if code == BuiltinOperator.TANH else 0.5 + 0.5 * np.tanh(0.5 * x)
    distances = np.abs(np.abs(units * real) % 1.0 - 0.5)
    return "has a value next to a tie" if distances.min() < _TIE_WIDTH else ""


def gap_in_runtime(file: File, operator: FileOperator) -> str:
    """Why tflite-runtime cannot judge an operator, or ''."""
    if operator.code == BuiltinOperator.ELU:
        return "does not exist there"
    rank = len(file.tensors[operator.outputs[0]].shape) if operator.outputs else 0
    if operator.code == BuiltinOperator.FULLY_CONNECTED and rank != 2:
        return f"to {rank} dimensions, it takes 2"
    if operator.code == BuiltinOperator.QUANTIZE:
        indices = (operator.inputs[0], operator.outputs[0])
        types = tuple(file.tensors[index].type for index in indices)
        absent = types == (TensorType.INT8, TensorType.INT32)
        return "of int8 to int32 does not exist there" if absent else ""
    unsigned = file.tensors[operator.inputs[0]].type == TensorType.UINT8
    if operator.code == BuiltinOperator.SUM and not unsigned:
        return "has no kernel there for signed integers with a scale"
    if operator.code == BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM:
        return "rounds otherwise there"
    return _gap_of_svdf(file, operator) if operator.code == BuiltinOperator.SVDF else ""


def _gap_of_svdf(file: File, operator: FileOperator) -> str:
    states = [file.tensors[i] for i in operator.inputs if i >= 0 and file.tensors[i].variable]
    if any(state.type == TensorType.INT8 for state in states):
        return "has an int8 state, which it takes for int16"
    if operator.options.get("FusedActivationFunction") != tflite.ActivationFunctionType.RELU:
        return "has no ReLU, which it demands"
    return ""
