"""Removal of conversions to and from float32: at a model's edges, and between int8 and int16.

Converters put a QUANTIZE after the input and a DEQUANTIZE (or a QUANTIZE to uint8) before the
output by default; on a microcontroller the samples are int8 to begin with. From int8 to int16
release 2.14 has no QUANTIZE of its own, only a DEQUANTIZE followed by a QUANTIZE.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compress.tflite_records.file import BuiltinOperator, File, FileOperator, FileTensor, TensorType
from compress.types import Array, IntArray

_UINT8_SHIFT = 128  # from int8's zero point to that of uint8


def int8_core(file: File) -> File:
    """The file without conversions and constants at its edges; the same object if it has none.

    Each input that only a QUANTIZE reads gives way to its output, each output that a DEQUANTIZE
    or QUANTIZE writes to its input, where the conversion loses no value. An ARG_MAX or ARG_MIN that
    writes an output gives way to the scores that it reads: there is no kernel for its int32 or
    int64 positions, and whoever has the scores has the position.
    """
    core = file
    for source in file.inputs:
        core = _without_first(core, source)
    for output in dict.fromkeys(file.outputs):
        core = _without_last(core, output)
    computed = tuple(index for index in core.outputs if core.tensors[index].data is None)
    return core if computed in ((), core.outputs) else replace(core, outputs=computed)


def _without_first(file: File, source: int) -> File:
    readers = [operator for operator in file.operators if source in operator.inputs]
    if len(readers) != 1 or source in file.results or file.inputs.count(source) != 1:
        return file
    (first,) = readers
    if first.code != BuiltinOperator.QUANTIZE or len(first.outputs) != 1:
        return file
    (inner,) = first.outputs
    if not _same_values(file.tensors[source], file.tensors[inner]):
        return file
    operators = tuple(operator for operator in file.operators if operator is not first)
    inputs = tuple(inner if index == source else index for index in file.inputs)
    return replace(file, operators=operators, inputs=inputs)


def _without_last(file: File, output: int) -> File:
    writers = [operator for operator in file.operators if output in operator.outputs]
    read = any(output in operator.inputs for operator in file.operators)
    read |= any(output == state.written for state in file.states)
    if len(writers) != 1 or read:
        return file
    (last,) = writers
    inner = last.inputs[0] if last.inputs else -1
    if inner < 0 or not (_converts(file, last) or _chooses(file, last)):
        return file
    operators = tuple(operator for operator in file.operators if operator is not last)
    outputs = tuple(inner if index == output else index for index in file.outputs)
    return replace(file, operators=operators, outputs=outputs)


def _converts(file: File, last: FileOperator) -> bool:
    """True for a conversion of the values of one tensor."""
    if last.code not in (BuiltinOperator.DEQUANTIZE, BuiltinOperator.QUANTIZE):
        return False
    if len(last.inputs) != 1 or len(last.outputs) != 1:
        return False
    return _same_values(file.tensors[last.outputs[0]], file.tensors[last.inputs[0]])


def _chooses(file: File, last: FileOperator) -> bool:
    """True for the position of the largest or smallest of values that are no output themselves."""
    if last.code not in (BuiltinOperator.ARG_MAX, BuiltinOperator.ARG_MIN):
        return False
    scores = file.tensors[last.inputs[0]]
    one_scale = len(scores.scales) == 1 and len(scores.zero_points) == 1
    whole = scores.data is None and last.inputs[0] not in (*file.inputs, *file.outputs)
    return scores.type in (TensorType.INT8, TensorType.INT16) and one_scale and whole


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
    read = {index for operator in operators for index in operator.inputs}.union(file.results)
    unread = {(index,) for index in sources if index not in read}
    return replace(file, operators=tuple(o for o in operators if o.outputs not in unread))


def _types_of(file: File, operator: FileOperator) -> tuple[int, ...]:
    """Types of the one input and the one output; empty for another number of either."""
    indices = (*operator.inputs, *operator.outputs)
    single = len(operator.inputs) == len(operator.outputs) == 1 and min(indices) >= 0
    return tuple(file.tensors[index].type for index in indices) if single else ()


def to_outer(values: IntArray, outer: FileTensor, inner: FileTensor) -> Array:
    """Values of the core's input `inner` in the type of the file's own, with equal real values."""
    match outer.type:
        case TensorType.FLOAT32:
            steps = values.astype(np.float32) - np.float32(inner.zero_points[0])
            return steps * np.float32(inner.scales[0])
        case TensorType.UINT8:
            return (values.astype(np.int16) + _UINT8_SHIFT).astype(np.uint8)
        case _:
            return values


def _same_values(outer: FileTensor, inner: FileTensor) -> bool:
    """True if every value of `inner` has an equal one in `outer`: no information is lost."""
    if outer.shape != inner.shape:
        return False
    if len(inner.scales) != 1 or len(inner.zero_points) != 1:
        return False
    if outer.type == TensorType.UINT8 and inner.type == TensorType.INT8:
        zero_points = tuple(zero_point + _UINT8_SHIFT for zero_point in inner.zero_points)
        return (outer.scales, outer.zero_points) == (inner.scales, zero_points)
    return outer.type == TensorType.FLOAT32 and inner.type in (TensorType.INT8, TensorType.INT16)
