"""Removal of operators that return what they are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from compress.tflite.fold_functions import constant_values
from compress.tflite_records.file import BuiltinOperator, File, FileOperator, FileTensor

# Identities wherever type, shape and quantization stay.
_BY_FORM = (
    BuiltinOperator.QUANTIZE,
    BuiltinOperator.CAST,
    BuiltinOperator.RESHAPE,
    BuiltinOperator.PAD,
    BuiltinOperator.PADV2,
    BuiltinOperator.SLICE,
    BuiltinOperator.TILE,
    BuiltinOperator.BROADCAST_TO,
)


def without_identities(file: File) -> File:
    """`file` without them: readers get the input. Tensors keep their indices.

    Operators with names were exported as such and stay; so does one that writes an output or a
    state.
    """
    source: dict[int, int] = {}
    kept = []
    for operator in file.operators:
        inputs = tuple(source.get(index, index) for index in operator.inputs)
        if inputs != operator.inputs:
            operator = replace(operator, inputs=inputs)
        removable = not operator.name and len(operator.outputs) == 1
        if (
            removable
            and operator.outputs[0] not in file.results
            and _is_identity(operator, file.tensors)
        ):
            source[operator.outputs[0]] = operator.inputs[0]
        else:
            kept.append(operator)
    return replace(file, operators=tuple(kept)) if source else file


def _is_identity(operator: FileOperator, tensors: Sequence[FileTensor]) -> bool:
    if not operator.inputs or operator.inputs[0] < 0:
        return False
    x, out = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
    same = _form(x) == _form(out) and x.data is None
    if not same or len(x.scales) > 1:
        return False
    match operator.code:
        case BuiltinOperator.CONCATENATION:
            activation = operator.options.get("FusedActivationFunction", 0)
            return len(operator.inputs) == 1 and activation == 0
        case BuiltinOperator.TRANSPOSE:
            return _constant_is(operator, tensors, 1, list(range(len(x.shape))))
        case BuiltinOperator.STRIDED_SLICE:
            return _constant_is(operator, tensors, 3, [1] * len(x.shape))
        case code:
            return code in _BY_FORM


def _form(tensor: FileTensor) -> tuple[object, ...]:
    return tensor.shape, tensor.type, tensor.scales, tensor.zero_points


def _constant_is(
    operator: FileOperator, tensors: Sequence[FileTensor], position: int, wanted: list[int]
) -> bool:
    if position >= len(operator.inputs) or operator.inputs[position] < 0:
        return False
    values = constant_values(tensors[operator.inputs[position]])
    return values is not None and values.reshape(-1).tolist() == wanted
