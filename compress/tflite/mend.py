"""Copies of a .tflite file for the oracles, which say what the file leaves open.

TensorFlow Lite Micro ignores the quantized dimension of a tensor of one dimension, which can only
be 0; TensorFlow Lite refuses any other. Early converters stored that of the weights for the bias,
such as the one that made TFLM's `person_detect.tflite`.

A bias that is absent is zero. Without one, release 2.14 adds products with int16 in 32 bits and
multiplies the sum by 31 bits, where with a bias of 64 bits, and TensorFlow Lite Micro always, both
take 64 bits and 15; it refuses CONV_2D. TensorFlow Lite Micro crashes at a bias stated as -1.

The shape that a RESHAPE makes is stated by its output, by an operand and by an option, that of a
SQUEEZE by its output and by an option. The import goes by the output, TensorFlow Lite by the
others, for which it takes memory. In the copy the operand says what the output does.
"""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from typing import Any

import flatbuffers
import numpy as np
import tflite

from compress.tflite_records.file import (
    BuiltinOperator,
    File,
    FileOperator,
    FileTensor,
    TensorType,
)
from compress.tflite_records.tensor import raw_bytes
from compress.types import Array

_QUANTIZED_DIMENSION_SLOT = 16  # QuantizationParameters' seventh field, two bytes each after 4
_tables: Any = tflite  # generated code without types
_numbers: Any = flatbuffers.number_types
# Operators with a bias, and its position among the operands: it comes last.
_BIAS_POSITIONS = {
    BuiltinOperator.CONV_2D: 2,
    BuiltinOperator.DEPTHWISE_CONV_2D: 2,
    BuiltinOperator.FULLY_CONNECTED: 2,
    BuiltinOperator.TRANSPOSE_CONV: 3,
}
_SHAPED = (BuiltinOperator.RESHAPE, BuiltinOperator.SQUEEZE)
_INTEGERS = (TensorType.INT8, TensorType.UINT8, TensorType.INT16)


def with_valid_dimensions(data: bytes) -> tuple[bytes, int]:
    """(copy, count): quantized dimensions beyond a tensor's rank set to 0; `data` itself if none.

    `data` must have been read by `compress.tflite.read`.
    """
    graph = _tables.Model.GetRootAs(data, 0).Subgraphs(0)
    mended = bytearray(data)
    count = 0
    for tensor in (graph.Tensors(i) for i in range(graph.TensorsLength())):
        quantization = tensor.Quantization()
        if quantization is None or quantization.QuantizedDimension() < max(1, tensor.ShapeLength()):
            continue
        slot = _numbers.UOffsetTFlags.py_type(quantization._tab.Offset(_QUANTIZED_DIMENSION_SLOT))
        struct.pack_into("<i", mended, slot + quantization._tab.Pos, 0)
        count += 1
    return (bytes(mended), count) if count else (data, 0)


def with_biases(file: File) -> tuple[File, int]:
    """(copy, count): absent biases as zeros; `file` itself if there are none.

    A FULLY_CONNECTED on int8 or uint8 stays as it is: all compute it alike.
    """
    tensors, operators = list(file.tensors), []
    for operator in file.operators:
        if _lacks_bias(file, operator):
            place = _BIAS_POSITIONS[operator.code]
            operator = replace(operator, inputs=(*operator.inputs[:place], len(tensors)))
            tensors.append(_zeros(file, operator))
        operators.append(operator)
    count = len(tensors) - len(file.tensors)
    if not count:
        return file, 0
    return replace(file, tensors=tuple(tensors), operators=tuple(operators)), count


def with_shapes(file: File) -> File:
    """RESHAPE and SQUEEZE with their output's shape as a constant operand; `file` if all have it.

    What states no shape of as many elements, and a shape that the file computes, stay.
    """
    tensors, operators = list(file.tensors), []
    for operator in file.operators:
        if operator.code in _SHAPED and _states_otherwise(file, operator):
            shape = file.tensors[operator.outputs[0]].shape
            operator = replace(
                operator,
                code=BuiltinOperator.RESHAPE,
                inputs=(operator.inputs[0], len(tensors)),
                options={},
            )
            values: Array = np.asarray(shape, np.int32)
            name = f"{file.tensors[operator.outputs[0]].name}_shape"
            of = (len(shape),)
            tensors.append(FileTensor(name, of, TensorType.INT32, data=raw_bytes(values)))
        operators.append(operator)
    if len(tensors) == len(file.tensors):
        return file
    return replace(file, tensors=tuple(tensors), operators=tuple(operators))


def _states_otherwise(file: File, operator: FileOperator) -> bool:
    """True if an operand with the output's shape is missing and can be given."""
    if len(operator.inputs) not in (1, 2) or len(operator.outputs) != 1:
        return False
    source, out = file.tensors[operator.inputs[0]], file.tensors[operator.outputs[0]]
    if min(out.shape, default=0) < 1 or math.prod(source.shape) != math.prod(out.shape):
        return False
    if operator.code == BuiltinOperator.SQUEEZE or operator.inputs[1:] in ((), (-1,)):
        return True
    given = file.tensors[operator.inputs[1]]
    if given.data is None:
        return False
    if given.type != TensorType.INT32 or given.shape != (len(out.shape),):
        return True
    # -1 is what the others leave: of a batch that the file does not know, more than it states.
    stated = np.frombuffer(given.data.tobytes(), "<i4")
    known = stated != -1
    return int((~known).sum()) > 1 or bool((stated != np.asarray(out.shape))[known].any())


def _lacks_bias(file: File, operator: FileOperator) -> bool:
    place = _BIAS_POSITIONS.get(operator.code)
    if place is None or len(operator.inputs) < place or min(operator.inputs[:place]) < 0:
        return False
    if operator.inputs[place : place + 1] not in ((), (-1,)):
        return False
    x = file.tensors[operator.inputs[_input_position(operator)]]
    narrow = operator.code == BuiltinOperator.FULLY_CONNECTED and x.type != TensorType.INT16
    return x.type in _INTEGERS and len(x.scales) == 1 and not narrow


def _input_position(operator: FileOperator) -> int:
    """That of the activation: a transposed convolution begins with the shape of its output."""
    return 2 if operator.code == BuiltinOperator.TRANSPOSE_CONV else 0


def _zeros(file: File, operator: FileOperator) -> FileTensor:
    """A bias of zeros, with the scales of the sums: of int64 on int16, else of int32."""
    x = file.tensors[operator.inputs[_input_position(operator)]]
    weights = file.tensors[operator.inputs[1]]
    by_last = operator.code == BuiltinOperator.DEPTHWISE_CONV_2D
    wide = x.type == TensorType.INT16
    values: Array = np.zeros(weights.shape[-1 if by_last else 0], np.int64 if wide else np.int32)
    scales = tuple(float(np.float32(x.scales[0]) * np.float32(scale)) for scale in weights.scales)
    return FileTensor(
        name=f"{weights.name}_no_bias",
        shape=values.shape,
        type=TensorType.INT64 if wide else TensorType.INT32,
        scales=scales,
        zero_points=(0,) * len(scales),
        data=raw_bytes(values),
    )
