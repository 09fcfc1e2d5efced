"""The int8 core of a model whose input and output are of other types.

Converters put a QUANTIZE after the input and a DEQUANTIZE (or a QUANTIZE to uint8) before the
output unless told otherwise; on a microcontroller the samples are int8 to begin with.
"""

from __future__ import annotations

from dataclasses import replace

from compress.tflite_file import BuiltinOperator, File, TensorType

_OUTER_TYPES = (TensorType.FLOAT32, TensorType.UINT8)


def int8_core(file: File) -> File:
    """The file without conversions at its edges; the same object where there is none.

    Its input is the first QUANTIZE's output, its output what the last DEQUANTIZE reads.
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
    converts = first.code == BuiltinOperator.QUANTIZE and len(first.outputs) == 1
    if not converts or file.tensors[source].type not in _OUTER_TYPES:
        return file
    operators = tuple(operator for operator in file.operators if operator is not first)
    return replace(file, operators=operators, inputs=first.outputs)


def _without_last(file: File) -> File:
    if len(file.outputs) != 1:
        return file
    (output,) = file.outputs
    writers = [operator for operator in file.operators if output in operator.outputs]
    read = any(output in operator.inputs for operator in file.operators)
    if len(writers) != 1 or read or file.tensors[output].type not in _OUTER_TYPES:
        return file
    (last,) = writers
    converts = last.code in (BuiltinOperator.DEQUANTIZE, BuiltinOperator.QUANTIZE)
    if not converts or len(last.inputs) != 1 or last.inputs[0] < 0:
        return file
    operators = tuple(operator for operator in file.operators if operator is not last)
    return replace(file, operators=operators, outputs=last.inputs)
