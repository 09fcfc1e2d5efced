"""Constant folding over a file's records, and removal of what nothing reads.

Models of a dynamic batch compute shapes from the batch at run time: SHAPE, STRIDED_SLICE, PACK,
RESHAPE. Here the batch is 1, so that all of these are constants.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from compress.tflite.fold_functions import (
    BIT_PRESERVING,
    FOLDED,
    LARGEST_VALUES,
    NUMPY_TYPES,
    Call,
    constant_values,
)
from compress.tflite.identities import without_identities
from compress.tflite_records.file import BuiltinOperator, File, FileOperator, FileTensor, TensorType
from compress.tflite_records.tensor import raw_bytes
from compress.types import Array


def simplified(file: File) -> File:
    """`file` with constants folded, without identities and operators that nothing reads.

    Tensors keep their indices.
    """
    return _without_unread(without_identities(_folded(file)))


def _folded(file: File) -> File:
    """`file` with the outputs of operators on constants as constants, and shapes as computed."""
    tensors = list(file.tensors)
    kept = []
    for operator in file.operators:
        value = _value_of(operator, tensors, file)
        if value is None:
            value = _zero_product(operator, tensors, file)
        if value is None:
            kept.append(operator)
            shape = _computed_shape(operator, tensors)
            if shape:
                output = operator.outputs[0]
                tensors[output] = replace(tensors[output], shape=shape)
        else:
            (output,) = operator.outputs
            tensors[output] = replace(tensors[output], shape=value.shape, data=raw_bytes(value))
    if all(new is old for new, old in zip(tensors, file.tensors, strict=True)):
        return file
    return replace(file, tensors=tuple(tensors), operators=tuple(kept))


def _computed_shape(operator: FileOperator, tensors: list[FileTensor]) -> tuple[int, ...]:
    """The shape that a RESHAPE computes where its output is stated to have other elements.

    A converter that does not know an extent states 1. Empty for all other operators.
    """
    if operator.code != BuiltinOperator.RESHAPE or len(operator.inputs) != 2:
        return ()
    if min(operator.inputs) < 0 or len(operator.outputs) != 1:
        return ()
    source, output = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
    values = constant_values(tensors[operator.inputs[1]])
    if values is None or values.ndim != 1 or prod(source.shape) == prod(output.shape):
        return ()
    shape: tuple[int, ...] = tuple(values.tolist())
    known = prod(extent for extent in shape if extent != -1)
    if shape.count(-1) == 1 and known > 0 and prod(source.shape) % known == 0:
        shape = tuple(prod(source.shape) // known if n == -1 else n for n in shape)
    return shape if min(shape, default=0) > 0 and prod(shape) == prod(source.shape) else ()


def _value_of(operator: FileOperator, tensors: list[FileTensor], file: File) -> Array | None:
    """The operator's output, an array of the output's type, or None if it must be computed."""
    if len(operator.outputs) != 1 or not operator.inputs or min(operator.inputs) < 0:
        return None
    output = tensors[operator.outputs[0]]
    if operator.outputs[0] in file.results or output.type not in NUMPY_TYPES:
        return None
    inputs = [tensors[index] for index in operator.inputs]
    folded = FOLDED.get(operator.code)
    if folded is None:
        return None
    values = [constant_values(tensor) for tensor in inputs] if folded.reads_values else []
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    if operator.code in BIT_PRESERVING and not _same_numbers(operator, inputs, output):
        return None
    options = dict.fromkeys(folded.fields, 0) | dict(operator.options)
    try:
        result = folded.evaluate(Call(known, inputs, options, output))
    except (ValueError, IndexError):  # NumPy's for shapes, axes or indices that do not fit
        return None
    if result is None or result.dtype != np.dtype(NUMPY_TYPES[output.type]) or not result.size:
        return None
    return result


def _zero_product(operator: FileOperator, tensors: list[FileTensor], file: File) -> Array | None:
    """The output of a product with zeros, such as a first state of an LSTM that was unrolled.

    Every fused activation keeps zero. The zeros may have a scale of zero.
    """
    if operator.code != BuiltinOperator.MUL or len(operator.outputs) != 1:
        return None
    if operator.outputs[0] in file.results:
        return None
    output = tensors[operator.outputs[0]]
    if output.type not in (TensorType.INT8, TensorType.INT16) or len(output.zero_points) != 1:
        return None
    if min(output.shape, default=1) < 1 or prod(output.shape) > LARGEST_VALUES:
        return None
    for index in operator.inputs:
        values = constant_values(tensors[index])
        zero = tensors[index].zero_points
        if values is not None and len(zero) == 1 and (values == zero[0]).all():
            return np.full(output.shape, output.zero_points[0], NUMPY_TYPES[output.type])
    return None


def _same_numbers(operator: FileOperator, inputs: list[FileTensor], output: FileTensor) -> bool:
    """True if the elements that an operator moves mean the same in its output."""
    joins = operator.code in (BuiltinOperator.PACK, BuiltinOperator.CONCATENATION)
    if operator.code == BuiltinOperator.FILL:
        moved = inputs[1:2]
    else:
        moved = inputs if joins else inputs[:1]
    quantization = (output.scales, output.zero_points)
    return len(output.scales) < 2 and all(
        (tensor.scales, tensor.zero_points) == quantization for tensor in moved
    )


def _without_unread(file: File) -> File:
    """`file` without the operators none of whose outputs anything reads."""
    read = set(file.results)
    kept = []
    for operator in reversed(file.operators):
        if read.intersection(operator.outputs) or not operator.outputs:
            kept.append(operator)
            read.update(operator.inputs)
    if len(kept) == len(file.operators):
        return file
    return replace(file, operators=tuple(kept[::-1]))
