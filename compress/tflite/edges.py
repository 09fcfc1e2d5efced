"""Removal of conversions to and from float32: at a model's edges, and between int8 and int16.

Converters put a QUANTIZE after the input and a DEQUANTIZE (or a QUANTIZE to uint8) before the
output by default; on a microcontroller the samples are int8 to begin with. From int8 to int16
release 2.14 has no QUANTIZE of its own, only a DEQUANTIZE followed by a QUANTIZE.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compress.tflite_records.file import BuiltinOperator, File, FileOperator, FileTensor, TensorType
from compress.types import Array, Int8Array

_UINT8_SHIFT = 128  # from int8's zero point to that of uint8


def int8_core(file: File) -> File:
    """The file without conversions at its edges; the same object if it has none.

    Its input is the first QUANTIZE's output, its output the last DEQUANTIZE's input.
    """
    return _without_last(_without_first(file))


def _without_first(file: File) -> File:
    if len(file.inputs) != 1:
        return file
    (source,) = file.inputs
    readers = [operator for operator in file.operators if source in operator.inputs]
    if len(readers) != 1 or source in file.outputs:
        return file
    (first,) = readers
    if first.code != BuiltinOperator.QUANTIZE or len(first.outputs) != 1:
        return file
    if not _same_values(file.tensors[source], file.tensors[first.outputs[0]]):
        return file
    operators = tuple(operator for operator in file.operators if operator is not first)
    return replace(file, operators=operators, inputs=first.outputs)


def _without_last(file: File) -> File:
    if len(file.outputs) != 1:
        return file
    (output,) = file.outputs
    writers = [operator for operator in file.operators if output in operator.outputs]
    read = any(output in operator.inputs for operator in file.operators)
    if len(writers) != 1 or read:
        return file
    (last,) = writers
    converts = last.code in (BuiltinOperator.DEQUANTIZE, BuiltinOperator.QUANTIZE)
    if not converts or len(last.inputs) != 1 or last.inputs[0] < 0:
        return file
    if not _same_values(file.tensors[output], file.tensors[last.inputs[0]]):
        return file
    operators = tuple(operator for operator in file.operators if operator is not last)
    return replace(file, operators=operators, outputs=last.inputs)


def without_floats(file: File) -> File:
    """The file with one QUANTIZE from int8 to int16 for each DEQUANTIZE followed by a QUANTIZE."""
    sources = {
        operator.outputs[0]: operator.inputs[0]
        for operator in file.operators
        if operator.code == BuiltinOperator.DEQUANTIZE
        and _types_of(file, operator) == (TensorType.INT8, TensorType.FLOAT32)
    }
    operators = []
    for operator in file.operators:
        wanted = operator.code == BuiltinOperator.QUANTIZE
        if wanted and _types_of(file, operator) == (TensorType.FLOAT32, TensorType.INT16):
            (source,) = operator.inputs
            operator = replace(operator, inputs=(sources.get(source, source),))
        operators.append(operator)
    read = {index for operator in operators for index in operator.inputs}.union(file.outputs)
    unread = {(index,) for index in sources if index not in read}
    return replace(file, operators=tuple(o for o in operators if o.outputs not in unread))


def _types_of(file: File, operator: FileOperator) -> tuple[int, ...]:
    """Types of the one input and the one output; empty for another number of either."""
    indices = (*operator.inputs, *operator.outputs)
    single = len(operator.inputs) == len(operator.outputs) == 1 and min(indices) >= 0
    return tuple(file.tensors[index].type for index in indices) if single else ()


def to_outer(inputs: Int8Array, file: File, core: File) -> Array:
    """Inputs of `core` converted to the type of the file's own input, with equal real values."""
    (outer,), (inner,) = file.inputs, core.inputs
    match file.tensors[outer].type:
        case TensorType.FLOAT32:
            tensor = file.tensors[inner]
            steps = inputs.astype(np.float32) - np.float32(tensor.zero_points[0])
            return steps * np.float32(tensor.scales[0])
        case TensorType.UINT8:
            return (inputs.astype(np.int16) + _UINT8_SHIFT).astype(np.uint8)
        case _:
            return inputs


def _same_values(outer: FileTensor, inner: FileTensor) -> bool:
    """True if every int8 value of `inner` has an equal one in `outer`: no information is lost."""
    if inner.type != TensorType.INT8 or len(inner.scales) != 1 or len(inner.zero_points) != 1:
        return False
    if outer.type == TensorType.UINT8:
        zero_points = tuple(zero_point + _UINT8_SHIFT for zero_point in inner.zero_points)
        return (outer.scales, outer.zero_points) == (inner.scales, zero_points)
    return outer.type == TensorType.FLOAT32
