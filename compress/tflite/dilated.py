"""Dilated convolutions that are stored as convolutions of a batch.

SPACE_TO_BATCH_ND takes every b-th row and column of a map, as b * b maps of one batch; a
convolution of these of stride 1 and BATCH_TO_SPACE_ND compute what the convolution with dilation b
computes on the map. A series is divided before its height of 1 is added, and joined behind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import tflite

from compress.tflite_records.file import BuiltinOperator, File, FileOperator, FileTensor, TensorType
from compress.tflite_records.tensor import raw_bytes

_CONVOLUTIONS = (BuiltinOperator.CONV_2D, BuiltinOperator.DEPTHWISE_CONV_2D)
_RESHAPES = (BuiltinOperator.RESHAPE, BuiltinOperator.EXPAND_DIMS, BuiltinOperator.SQUEEZE)


@dataclass(frozen=True, slots=True)
class _Group:
    """The operators of one dilated convolution, in order.

    Around the convolution of a series (1, L, C) there are `widen`, which adds the height 1, and
    `narrow`, which takes it away.
    """

    first: FileOperator
    widen: FileOperator | None
    conv: FileOperator
    narrow: FileOperator | None
    last: FileOperator

    @property
    def operators(self) -> tuple[FileOperator, ...]:
        own = (self.first, self.widen, self.conv, self.narrow, self.last)
        return tuple(operator for operator in own if operator is not None)


def with_dilations(file: File) -> File:
    """`file` with a dilation for each such group that only its own operators read.

    The padding becomes a PAD before the convolution. Groups of another form stay as they are.
    """
    tensors, operators = list(file.tensors), list(file.operators)
    for last in file.operators:
        group = _group(file, last)
        if group is None:
            continue
        block, padding = _block(file, group), _padding(file, group)
        if len(block) != 2 or len(padding) != 4 or min(padding) < 0:
            continue
        form = [file.tensors[i] for i in (group.conv.outputs[0], last.outputs[0])]
        if (form[0].scales, form[0].zero_points) != (form[1].scales, form[1].zero_points):
            continue
        place = operators.index(group.conv)
        operators[place : place + 1] = _dilated(file, group, block, padding, tensors)
        ids = set(map(id, group.operators))
        operators = [operator for operator in operators if id(operator) not in ids]
    return replace(file, tensors=tuple(tensors), operators=tuple(operators))


def _group(file: File, last: FileOperator) -> _Group | None:
    """The group that ends in BATCH_TO_SPACE_ND `last`; None if it is of another form."""
    if last.code != BuiltinOperator.BATCH_TO_SPACE_ND or len(last.outputs) != 1:
        return None
    series = len(file.tensors[last.outputs[0]].shape) == 3
    narrow = _only_writer(file, last) if series else None
    conv = _only_writer(file, narrow or last)
    widen = _only_writer(file, conv) if conv is not None and series else None
    start = widen or conv
    first = None if start is None else _only_writer(file, start)
    if conv is None or first is None or not _foldable(file, first, conv):
        return None
    if not series:
        return _Group(first, None, conv, None, last)
    if narrow is None or widen is None or not (_is_moved(file, widen) and _is_moved(file, narrow)):
        return None
    return _Group(first, widen, conv, narrow, last)


def _is_moved(file: File, operator: FileOperator) -> bool:
    """True if the operator adds or takes away the height of a map of one row."""
    shapes = [file.tensors[i].shape for i in (operator.inputs[0], operator.outputs[0])]
    series, wide = sorted(shapes, key=len)
    one_row = len(wide) == 4 and wide[1] == 1 and (wide[0], *wide[2:]) == series
    return operator.code in _RESHAPES and one_row


def _block(file: File, group: _Group) -> list[int]:
    """The rows and columns of the block; empty if it is not the same at both ends."""
    block = _ints(file, group.first, 1)
    if block != _ints(file, group.last, 1):
        return []
    return block if group.widen is None else [1, *block]


def _padding(file: File, group: _Group) -> list[int]:
    """Rows of padding above and below, columns before and behind, less what is cut off again."""
    ends = zip(_ints(file, group.first, 2), _ints(file, group.last, 2), strict=False)
    padding = [a - b for a, b in ends]
    return padding if group.widen is None else [0, 0, *padding]


def _dilated(
    file: File, group: _Group, block: list[int], padding: list[int], tensors: list[FileTensor]
) -> list[FileOperator]:
    """The operators in place of the group; `tensors` gets those that they need."""

    def add(tensor: FileTensor) -> int:
        tensors.append(tensor)
        return len(tensors) - 1

    def reshaped(source: int, target: int) -> FileOperator:
        shape = np.array(tensors[target].shape, np.int32)
        name = f"{tensors[target].name}_shape"
        stated = FileTensor(name, shape.shape, TensorType.INT32, data=raw_bytes(shape))
        return FileOperator(BuiltinOperator.RESHAPE, (source, add(stated)), (target,))

    made: list[FileOperator] = []
    source, output = group.first.inputs[0], group.last.outputs[0]
    behind: list[FileOperator] = []
    if group.widen is not None:
        source, output = (
            add(replace(tensors[i], name=f"{tensors[i].name}_map", shape=_as_map(tensors[i])))
            for i in (source, output)
        )
        made.append(reshaped(group.first.inputs[0], source))
        behind.append(reshaped(output, group.last.outputs[0]))
    if any(padding):
        sides, padded = _padded(tensors[source], padding)
        made.append(FileOperator(BuiltinOperator.PAD, (source, add(sides)), (add(padded),)))
        source = made[-1].outputs[0]
    options = {**group.conv.options, "DilationHFactor": block[0], "DilationWFactor": block[1]}
    inputs = (source, *group.conv.inputs[1:])
    made.append(replace(group.conv, inputs=inputs, outputs=(output,), options=options))
    return made + behind


def _as_map(series: FileTensor) -> tuple[int, ...]:
    batch, *others = series.shape
    return (batch, 1, *others)


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
        and len(file.tensors[first.inputs[0]].shape) in (3, 4)
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


def _padded(source: FileTensor, padding: list[int]) -> tuple[FileTensor, FileTensor]:
    """The operand of a PAD, and its output."""
    top, bottom, left, right = padding
    sides = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
    batch, rows, columns, channels = source.shape
    shape = (batch, rows + top + bottom, columns + left + right, channels)
    constant = FileTensor(f"{source.name}_sides", (4, 2), TensorType.INT32, data=raw_bytes(sides))
    return constant, replace(source, name=f"{source.name}_padded", shape=shape)
