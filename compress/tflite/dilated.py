"""Dilated convolutions that are stored as convolutions of a batch.

SPACE_TO_BATCH_ND takes every b-th row and column of a map, as b * b maps of one batch; a
convolution of these of stride 1 and BATCH_TO_SPACE_ND compute what the convolution with dilation b
computes on the map.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import tflite

from compress.tflite_records.file import BuiltinOperator, File, FileOperator, FileTensor, TensorType
from compress.tflite_records.tensor import raw_bytes

_CONVOLUTIONS = (BuiltinOperator.CONV_2D, BuiltinOperator.DEPTHWISE_CONV_2D)


def with_dilations(file: File) -> File:
    """`file` with a dilation for each such group that only its own operators read.

    The padding becomes a PAD before the convolution. Groups of another form stay as they are.
    """
    tensors, operators = list(file.tensors), list(file.operators)
    for last in file.operators:
        if last.code != BuiltinOperator.BATCH_TO_SPACE_ND or len(last.outputs) != 1:
            continue
        conv = _only_writer(file, last)
        first = None if conv is None else _only_writer(file, conv)
        if conv is None or first is None or not _foldable(file, first, conv):
            continue
        block = _ints(file, first, 1)
        padding = [a - b for a, b in zip(_ints(file, first, 2), _ints(file, last, 2), strict=False)]
        if len(block) != 2 or block != _ints(file, last, 1) or len(padding) != 4:
            continue
        form = [file.tensors[i] for i in (conv.outputs[0], last.outputs[0])]
        same = (form[0].scales, form[0].zero_points) == (form[1].scales, form[1].zero_points)
        if not same or min(padding) < 0:
            continue
        source = first.inputs[0]
        place = operators.index(conv)
        if any(padding):
            source = len(tensors) + 1
            tensors += _padding(tensors[first.inputs[0]], padding)
            operators[operators.index(first)] = FileOperator(
                BuiltinOperator.PAD, (first.inputs[0], source - 1), (source,)
            )
        else:
            operators.remove(first)
            place -= 1
        options = {**conv.options, "DilationHFactor": block[0], "DilationWFactor": block[1]}
        inputs = (source, *conv.inputs[1:])
        operators[place] = replace(conv, inputs=inputs, outputs=last.outputs, options=options)
        operators.remove(last)
    return replace(file, tensors=tuple(tensors), operators=tuple(operators))


def _only_writer(file: File, reader: FileOperator) -> FileOperator | None:
    """The operator that computes the first input of `reader` for it alone."""
    index = reader.inputs[0] if reader.inputs else -1
    readers = [operator for operator in file.operators if index in operator.inputs]
    writers = [operator for operator in file.operators if index in operator.outputs]
    if len(readers) != 1 or len(writers) != 1 or index in file.results:
        return None
    return writers[0]


def _foldable(file: File, first: FileOperator, conv: FileOperator) -> bool:
    """True for a convolution of stride 1 without padding or dilation after SPACE_TO_BATCH_ND."""
    options = conv.options
    plain = all(options.get(f"Stride{axis}") == 1 for axis in "HW") and all(
        options.get(f"Dilation{axis}Factor", 1) == 1 for axis in "HW"
    )
    return (
        first.code == BuiltinOperator.SPACE_TO_BATCH_ND
        and min(first.inputs, default=-1) >= 0
        and conv.code in _CONVOLUTIONS
        and plain
        and options.get("Padding") == tflite.Padding.VALID
        and len(file.tensors[first.inputs[0]].shape) == 4
    )


def _ints(file: File, operator: FileOperator, position: int) -> list[int]:
    """The values of a constant operand of int32; none if it is not one."""
    index = operator.inputs[position] if position < len(operator.inputs) else -1
    if index < 0:
        return []
    tensor = file.tensors[index]
    if tensor.data is None or tensor.type != TensorType.INT32 or tensor.data.size % 4:
        return []
    values: list[int] = np.frombuffer(tensor.data.tobytes(), "<i4").tolist()
    return values


def _padding(source: FileTensor, padding: list[int]) -> list[FileTensor]:
    """The operand of a PAD, and its output."""
    top, bottom, left, right = padding
    sides = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
    batch, rows, columns, channels = source.shape
    shape = (batch, rows + top + bottom, columns + left + right, channels)
    constant = FileTensor(f"{source.name}_sides", (4, 2), TensorType.INT32, data=raw_bytes(sides))
    return [constant, replace(source, name=f"{source.name}_padded", shape=shape)]
