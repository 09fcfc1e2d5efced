"""Operators that an oracle lacks for a type, or computes otherwise than the specification says.

`compress.tflite.oracle` refuses models with them; it describes the differences in rounding.

tflite-micro:
- RESIZE_BILINEAR, REDUCE_MAX and REDUCE_MIN do not exist on int16, EXP on no integers.

tflite-runtime 2.14:
- ELU does not exist among the reference kernels.
- FULLY_CONNECTED takes the second dimension of the output for its units, which is wrong where there
  are more than two; later releases take the last one.
- SUM takes int8 for uint8, and adds int16 without a change of scale.
"""

from __future__ import annotations

from compress.tflite_records.file import BuiltinOperator, File, FileOperator, TensorType
from compress.tflite_records.tensor import type_name

_ABSENT_IN_MICRO = {
    (BuiltinOperator.RESIZE_BILINEAR, TensorType.INT16),
    (BuiltinOperator.REDUCE_MAX, TensorType.INT16),
    (BuiltinOperator.REDUCE_MIN, TensorType.INT16),
    (BuiltinOperator.EXP, TensorType.INT8),
}


def gap_in_micro(file: File, operator: FileOperator) -> str:
    """Why tflite-micro cannot judge an operator, or ''."""
    type_ = file.tensors[operator.inputs[0]].type
    if (operator.code, type_) in _ABSENT_IN_MICRO:
        return f"does not exist there on {type_name(type_)}"
    return ""


def gap_in_runtime(file: File, operator: FileOperator) -> str:
    """Why tflite-runtime cannot judge an operator, or ''."""
    if operator.code == BuiltinOperator.ELU:
        return "does not exist there"
    rank = len(file.tensors[operator.outputs[0]].shape) if operator.outputs else 0
    if operator.code == BuiltinOperator.FULLY_CONNECTED and rank != 2:
        return f"to {rank} dimensions, it takes 2"
    if operator.code == BuiltinOperator.SUM:
        return "has no kernel there for signed integers with a scale"
    return ""
