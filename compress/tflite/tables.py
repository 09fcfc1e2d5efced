"""Tables of 256 values that a file stores as a GATHER whose positions are an int8 plus 128.

A CAST to int32 and an ADD of the constant 128 compute the positions.
"""

from __future__ import annotations

from dataclasses import replace

from compress.movement.table import TABLE_OFFSET, TABLE_SIZE
from compress.tflite.fold_functions import constant_values
from compress.tflite_records.file import BuiltinOperator, File, FileOperator, TensorType


def table_positions(file: File) -> dict[int, int]:
    """The int8 tensors that are looked up, by the tensor of their positions in a table."""
    writers = {index: o for o in file.operators for index in o.outputs}
    found = {}
    for operator in file.operators:
        source = _looked_up(file, operator, writers)
        if source is not None:
            found[operator.inputs[1]] = source
    return found


def position_parts(file: File) -> frozenset[int]:
    """The int32 tensors between an int8 and the GATHERs of its tables."""
    writers = {index: o for o in file.operators for index in o.outputs}
    places = table_positions(file)
    return frozenset(places) | {writers[place].inputs[0] for place in places}


def with_tables(file: File) -> File:
    """`file` with GATHERs that read the int8 itself in place of its position in the table."""
    places = table_positions(file)
    if not places:
        return file
    operators = [
        replace(o, inputs=(o.inputs[0], places[o.inputs[1]]))
        if o.code == BuiltinOperator.GATHER and o.inputs[1] in places
        else o
        for o in file.operators
    ]
    parts = position_parts(file)
    read = {index for o in operators if not parts.intersection(o.outputs) for index in o.inputs}
    gone = parts - read - set(file.results)
    return replace(file, operators=tuple(o for o in operators if not gone.intersection(o.outputs)))


def _looked_up(file: File, gather: FileOperator, writers: dict[int, FileOperator]) -> int | None:
    """The int8 that is looked up in a table by `gather`; None if it is another operator."""
    if gather.code != BuiltinOperator.GATHER or len(gather.inputs) != 2 or min(gather.inputs) < 0:
        return None
    table = file.tensors[gather.inputs[0]]
    if table.type != TensorType.INT8 or table.data is None or table.shape != (TABLE_SIZE,):
        return None
    add = writers.get(gather.inputs[1])
    if add is None or add.code != BuiltinOperator.ADD or len(add.inputs) != 2:
        return None
    cast, offset = writers.get(add.inputs[0]), add.inputs[1]
    if cast is None or cast.code != BuiltinOperator.CAST or len(cast.inputs) != 1 or offset < 0:
        return None
    values = constant_values(file.tensors[offset])
    plain = not add.options.get("FusedActivationFunction", 0)
    whole = file.tensors[add.inputs[0]].type == file.tensors[add.outputs[0]].type
    if not plain or not whole or values is None or values.reshape(-1).tolist() != [TABLE_OFFSET]:
        return None
    source = file.tensors[cast.inputs[0]]
    exact = source.type == TensorType.INT8 and len(source.scales) == 1 and source.data is None
    is_int32 = file.tensors[add.inputs[0]].type == TensorType.INT32
    return cast.inputs[0] if exact and is_int32 else None
