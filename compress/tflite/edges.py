"""The integers' part of a file: without conversions at its edges and what only follows them.

Converters put a QUANTIZE after the input and a DEQUANTIZE (or a QUANTIZE to uint8) before the
output by default; on a microcontroller the samples are int8 to begin with. Networks also end in
operators on floats (LOG_SOFTMAX, TFLite_Detection_PostProcess), in positions (ARG_MAX) and in
int32: there is no kernel for these, and whoever has the integers that they read can compute them.
From int8 to int16 release 2.14 has no QUANTIZE of its own, only a DEQUANTIZE followed by a
QUANTIZE.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compress.tflite.recognize import WITH_WEIGHTS, kind_of
from compress.tflite.tables import position_parts
from compress.tflite_records.file import (
    BuiltinOperator,
    File,
    FileOperator,
    FileTensor,
    TensorType,
)
from compress.tflite_records.tensor import raw_bytes
from compress.tflite_records.uint8 import SHIFT
from compress.types import Array, IntArray

_LARGEST_RATIO = 1 << 15  # an int16 less its zero point, times this, is within int32
_LARGEST_DIFFERENCE = 2.0**-11  # of a ratio of scales: 255 steps stay within 1/8 of a step
_INTEGERS = (TensorType.INT8, TensorType.INT16)
_SHIFTED = (BuiltinOperator.SOFTMAX, BuiltinOperator.RESHAPE)  # may write int16 with a zero point
_CONVERSIONS = (BuiltinOperator.QUANTIZE, BuiltinOperator.DEQUANTIZE)
# Custom operators that make a list of what was found from a network's last maps.
_DECODERS = ("TFLite_Detection_PostProcess", "PosenetDecoderOp")
# Operators with an operand that states the shape of the output, and its position.
_STATED = {BuiltinOperator.TRANSPOSE_CONV: 0, BuiltinOperator.RESHAPE: 1}


def int8_core(file: File) -> File:
    """The file without what is not computed in int8 or int16 at its edges; itself if all of it is.

    - An input that only a QUANTIZE reads, which loses no value, gives way to its output.
    - Inputs of another type give way to the int8 or int16 tensors that are made of them alone: by
      operators without weights, then a QUANTIZE of float32.
    - An input that only states the shape of an output becomes a constant.
    - An output gives way to the last int8 or int16 tensors that it is computed from, if none of
      the operators in between has weights.
    - Outputs that are constants are left out.
    """
    core = file
    for source in file.inputs:
        core = _without_first(_with_stated_shape(core, source), source)
    core = _without_tail(_without_head(core))
    computed = tuple(index for index in core.outputs if core.tensors[index].data is None)
    return core if computed in ((), core.outputs) else replace(core, outputs=computed)


def left_out(file: File, core: File) -> tuple[str, ...]:
    """The kinds of the operators of `file` that its int8 core lacks, besides conversions."""
    kept = set(map(id, core.operators))
    lacking = (o for o in file.operators if id(o) not in kept and o.code not in _CONVERSIONS)
    return tuple(dict.fromkeys(o.custom or kind_of(o) for o in lacking))


def _with_stated_shape(file: File, source: int) -> File:
    """The file with an input as a constant if it only states shapes of outputs, which are known."""
    readers = [operator for operator in file.operators if source in operator.inputs]
    shapes = {file.tensors[operator.outputs[0]].shape for operator in readers if operator.outputs}
    only = source not in file.results and all(
        operator.code in _STATED and operator.inputs.index(source) == _STATED[operator.code]
        for operator in readers
    )
    if not only or len(shapes) != 1 or file.tensors[source].type != TensorType.INT32:
        return file
    (shape,) = shapes
    values: Array = np.array(shape, np.int32)
    if file.tensors[source].shape != values.shape or values.min() < 1:
        return file
    tensors = list(file.tensors)
    tensors[source] = replace(tensors[source], data=raw_bytes(values))
    inputs = tuple(index for index in file.inputs if index != source)
    return replace(file, tensors=tuple(tensors), inputs=inputs)


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


def _without_head(file: File) -> File:
    """The file whose inputs are the first int8 or int16 tensors that are computed from them."""
    position = {
        source: place
        for place, source in enumerate(file.inputs)
        if file.tensors[source].type not in _INTEGERS
    }
    made: dict[int, int] = {}
    kept = []
    for operator in file.operators:
        read = [index for index in operator.inputs if not _is_constant(file, index)]
        places = [position.get(index, -1) for index in read]
        integers = {file.tensors[index].type in _INTEGERS for index in operator.outputs}
        converts = operator.code == BuiltinOperator.QUANTIZE and _is_from_float(file, operator)
        if min(places, default=-1) < 0 or _computes(operator) or integers != {converts}:
            kept.append(operator)
        else:
            (made if converts else position).update(dict.fromkeys(operator.outputs, min(places)))
    needed = {index for operator in kept for index in operator.inputs}.union(file.results)
    if not made or needed.intersection(position):
        return file
    inputs = made | {i: n for n, i in enumerate(file.inputs) if i not in position}
    ordered = tuple(sorted(inputs, key=inputs.__getitem__))
    return replace(file, operators=tuple(kept), inputs=ordered)


def _is_constant(file: File, index: int) -> bool:
    return index < 0 or file.tensors[index].data is not None


def _is_from_float(file: File, operator: FileOperator) -> bool:
    """True for a conversion from float32 that keeps the shape."""
    types = _types_of(file, operator)
    if types not in [(TensorType.FLOAT32, inner) for inner in _INTEGERS]:
        return False
    source, out = (file.tensors[index] for index in (*operator.inputs, *operator.outputs))
    return source.shape == out.shape and _is_activation(out)


def is_reached(file: File, core: File) -> bool:
    """True if for every input of the core there is one of the file that it is converted from."""
    sources = {o.outputs[0]: o.inputs[0] for o in file.operators if len(o.inputs) == 1}
    outer = [index for index in file.inputs if core.tensors[index].data is None]
    return len(outer) == len(core.inputs) and all(
        source == inner
        or (
            sources.get(inner) == source and _same_values(file.tensors[source], file.tensors[inner])
        )
        for source, inner in zip(outer, core.inputs, strict=True)
    )


def _without_tail(file: File) -> File:
    """The file whose outputs are the int8 or int16 tensors that they are computed from."""
    tail = _tail(file)
    outputs: list[int] = []
    for output in file.outputs:
        found = _last_integers(file, output, tail)
        outputs += [output] if found is None else found
    if tuple(outputs) == file.outputs or not outputs:
        return file
    read = {*outputs, *(state.written for state in file.states)}
    kept = []
    for operator in reversed(file.operators):
        if read.intersection(operator.outputs) or id(operator) not in tail:
            kept.append(operator)
            read.update(operator.inputs)
    return replace(file, operators=tuple(kept[::-1]), outputs=tuple(dict.fromkeys(outputs)))


def _tail(file: File) -> set[int]:
    """Ids of the operators without weights that leave the integers, and of what follows.

    An int8 that is widened to int16 by way of float32 stays what it is, and so do the positions in
    a table.
    """
    tail: set[int] = set()
    lost: set[int] = set()  # what they compute
    inside = _widened(file) | position_parts(file)
    for operator in file.operators:
        outside = _leaves_integers(file, operator) or lost.intersection(operator.inputs)
        if outside and not _computes(operator) and not inside.intersection(operator.outputs):
            tail.add(id(operator))
            lost.update(operator.outputs)
    return tail


def _leaves_integers(file: File, operator: FileOperator) -> bool:
    """True for outputs of another type, or int16 with a zero point that has no kernel."""
    symmetric = operator.code not in _SHIFTED
    outputs = [file.tensors[index] for index in operator.outputs]
    return any(
        out.type not in _INTEGERS
        or (symmetric and out.type == TensorType.INT16 and any(out.zero_points))
        for out in outputs
    )


def _computes(operator: FileOperator) -> bool:
    """True for an operator that is left out in no case: it has weights, or nothing is known."""
    unknown = operator.code == BuiltinOperator.CUSTOM and operator.custom not in _DECODERS
    return operator.code in WITH_WEIGHTS or unknown or not operator.outputs


def _widened(file: File) -> set[int]:
    """The outputs of each QUANTIZE to int16 of a DEQUANTIZE of an int8."""
    floats = {
        operator.outputs[0]
        for operator in file.operators
        if operator.code == BuiltinOperator.DEQUANTIZE
        and _types_of(file, operator) == (TensorType.INT8, TensorType.FLOAT32)
    }
    return {
        operator.outputs[0]
        for operator in file.operators
        if operator.code == BuiltinOperator.QUANTIZE
        and _types_of(file, operator) == (TensorType.FLOAT32, TensorType.INT16)
        and operator.inputs[0] in floats
    }


def _last_integers(file: File, output: int, tail: set[int]) -> list[int] | None:
    """The integers that an output is computed from by operators of `tail`; None if by others.

    None, too, for outputs that are computed from the inputs; empty for those that are constants.
    """
    found: dict[int, None] = {}
    waiting = [output]
    writers = {index: operator for operator in file.operators for index in operator.outputs}
    seen = set()
    while waiting:
        index = waiting.pop(0)
        writer = writers.get(index)
        if index in seen or index < 0 or (file.tensors[index].data is not None and index != output):
            continue
        seen.add(index)
        if writer is not None and id(writer) in tail:
            waiting += writer.inputs
        elif _is_activation(file.tensors[index]) and index != output:
            found[index] = None
        else:
            return None
    return None if found and set(found) <= set(file.inputs) else list(found)


def _is_activation(tensor: FileTensor) -> bool:
    one_scale = len(tensor.scales) == 1 and len(tensor.zero_points) == 1
    return tensor.type in _INTEGERS and one_scale and tensor.data is None


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
    """Values of the file's own input that the core's input `inner` has these `values` for."""
    match outer.type:
        case TensorType.FLOAT32:
            steps = values.astype(np.float32) - np.float32(inner.zero_points[0])
            return steps * np.float32(inner.scales[0])
        case TensorType.UINT8:
            return (values.astype(np.int16) + SHIFT).astype(np.uint8)
        case TensorType.INT32:
            ratio = inner.scales[0] / outer.scales[0]
            wide: Array = np.rint((values.astype(np.int64) - inner.zero_points[0]) * ratio)
            return wide.astype(np.int32)
        case _:
            return values


def _ratio(inner: FileTensor, outer: FileTensor) -> float:
    """The only scale of `inner` by that of `outer`; 0 if `outer` has several, or none above 0."""
    if len(outer.scales) != 1 or not outer.scales[0] > 0:
        return 0.0
    return inner.scales[0] / outer.scales[0]


def _same_values(outer: FileTensor, inner: FileTensor) -> bool:
    """True if for every value of `inner` there is one of `outer` that it is converted from."""
    if outer.shape != inner.shape:
        return False
    if len(inner.scales) != 1 or len(inner.zero_points) != 1:
        return False
    if outer.type == TensorType.UINT8 and inner.type == TensorType.INT8:
        zero_points = tuple(zero_point + SHIFT for zero_point in inner.zero_points)
        ratio = _ratio(inner, outer)
        return outer.zero_points == zero_points and abs(ratio - 1) < _LARGEST_DIFFERENCE
    if outer.type == TensorType.INT32 and outer.zero_points == (0,):
        return inner.type in _INTEGERS and 2 <= _ratio(inner, outer) < _LARGEST_RATIO
    return outer.type == TensorType.FLOAT32 and inner.type in _INTEGERS
