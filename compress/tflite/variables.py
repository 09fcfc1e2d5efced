"""Resource variables of a .tflite file as states: what is read first, and what is assigned last.

A streaming model keeps values between inferences in variables: VAR_HANDLE names one, READ_VARIABLE
and ASSIGN_VARIABLE run in the order of the operators, and CALL_ONCE runs a subgraph, which assigns
the first values, before the first inference. A variable that is not assigned there begins with
its zero point, as in TensorFlow Lite for Microcontrollers (micro/micro_resource_variable.cc).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from compress.errors import UnsupportedLayer
from compress.tflite_records.file import (
    KIND_NAMES,
    BuiltinOperator,
    File,
    FileOperator,
    FileState,
    FileTensor,
    Subgraph,
)
from compress.types import Array

_Key = tuple[str, str]  # container and name of a variable

_HANDLE = BuiltinOperator.VAR_HANDLE
_READ = BuiltinOperator.READ_VARIABLE
_ASSIGN = BuiltinOperator.ASSIGN_VARIABLE
_ONCE = BuiltinOperator.CALL_ONCE
_ON_VARIABLES = (_HANDLE, _READ, _ASSIGN, _ONCE)
# The options of these operators: a table of the format, its fields.
OPTIONS: Mapping[int, tuple[str, tuple[str, ...]]] = {
    _ONCE: ("CallOnceOptions", ("InitSubgraphIndex",)),
    _HANDLE: ("VarHandleOptions", ("Container", "SharedName")),
}


def without_variables(file: File) -> File:
    """The file with `states` instead of operators on variables; the same object if it has none.

    A read of a value that this inference has assigned or read before gives way to that value.

    Raises UnsupportedLayer for a variable whose first value is computed, which is read with another
    type, shape or scale than assigned, or whose handle is not made by a VAR_HANDLE.
    """
    if not any(operator.code in _ON_VARIABLES for operator in file.operators):
        return file
    handles = _handles(file)
    first = _first_values(file)
    current: dict[_Key, int] = {}  # the tensor that has a variable's value
    states: dict[_Key, int] = {}  # the tensor that has its value at the start
    same: dict[int, int] = {}  # tensors that give way to another one
    operators = []
    for operator in file.operators:
        operator = replace(operator, inputs=tuple(same.get(i, i) for i in operator.inputs))
        if operator.code == _READ:
            key, (value,) = _variable(operator, handles), operator.outputs
            if key in current:
                _check_like(file, key, value, current[key])
                same[value] = current[key]
            else:
                current[key] = states[key] = value
        elif operator.code == _ASSIGN:
            key = _variable(operator, handles)
            if file.tensors[operator.inputs[1]].data is not None:
                raise UnsupportedLayer(f"variable {key[1]} is assigned a constant")
            current[key] = operator.inputs[1]
        elif operator.code not in _ON_VARIABLES:
            operators.append(operator)
    for key, read in states.items():
        _check_like(file, key, read, current[key])
    return replace(
        file,
        operators=tuple(operators),
        outputs=tuple(same.get(i, i) for i in file.outputs),
        states=tuple(
            FileState(read, current[key], _first_value(file.tensors[read], first.get(key), key))
            for key, read in states.items()
        ),
    )


def _handles(graph: Subgraph) -> dict[int, _Key]:
    """The variables by the tensors that are their handles."""
    return {
        operator.outputs[0]: (
            operator.options.get("Container") or "",
            operator.options.get("SharedName") or "",
        )
        for operator in graph.operators
        if operator.code == _HANDLE and operator.outputs
    }


def _variable(operator: FileOperator, handles: Mapping[int, _Key]) -> _Key:
    """The variable that an operator reads or assigns. Raises UnsupportedLayer if none is known."""
    operands = {_READ: (1, 1), _ASSIGN: (2, 0)}[operator.code]
    found = (len(operator.inputs), len(operator.outputs))
    if found != operands or operator.inputs[0] not in handles or min(operator.inputs) < 0:
        raise UnsupportedLayer(f"{KIND_NAMES[operator.code]} of a variable without VAR_HANDLE")
    return handles[operator.inputs[0]]


def _first_values(file: File) -> dict[_Key, FileTensor]:
    """The constants that CALL_ONCE assigns to variables.

    Raises UnsupportedLayer for other operators there, and for a CALL_ONCE behind an assignment,
    which it would undo in the first inference alone.
    """
    assigned: dict[_Key, FileTensor] = {}
    for graph in _called_once(file):
        handles = _handles(graph)
        for operator in graph.operators:
            if operator.code == _HANDLE:
                continue
            if operator.code != _ASSIGN:
                kind = KIND_NAMES.get(operator.code, f"operator {operator.code}")
                raise UnsupportedLayer(f"{kind} computes the first value of a variable")
            key = _variable(operator, handles)
            value = graph.tensors[operator.inputs[1]]
            if value.data is None:
                raise UnsupportedLayer(f"the first value of variable {key[1]} is not a constant")
            assigned[key] = value
    return assigned


def _called_once(file: File) -> Iterator[Subgraph]:
    """The subgraphs that CALL_ONCE runs."""
    touched = False
    for operator in file.operators:
        if operator.code == _ONCE:
            number = int(operator.options.get("InitSubgraphIndex", 0))
            if touched or not 1 <= number <= len(file.further):
                raise UnsupportedLayer(f"CALL_ONCE of subgraph {number} cannot be run beforehand")
            yield file.further[number - 1]
        touched |= operator.code in (_READ, _ASSIGN)


def _check_like(file: File, key: _Key, read: int, assigned: int) -> None:
    """Raise UnsupportedLayer unless a variable's bytes mean the same where it is read."""
    forms = [
        (tensor.type, tensor.shape, tensor.scales, tensor.zero_points)
        for tensor in (file.tensors[read], file.tensors[assigned])
    ]
    if forms[0] != forms[1]:
        raise UnsupportedLayer(
            f"variable {key[1]} is read with another type, shape or scale than assigned"
        )


def _first_value(read: FileTensor, first: FileTensor | None, key: _Key) -> Array | None:
    if first is None:
        return None
    if (first.type, math.prod(first.shape)) != (read.type, math.prod(read.shape)):
        raise UnsupportedLayer(f"the first value of variable {key[1]} has another type or size")
    return first.data
