"""Import of an int8 .tflite file as a `Graph`, and of uint8 ones (`tflite_records.uint8`).

Each operator's family in `compress.operators` reads its records. A PAD is fused into the
convolution or pool that reads it where possible; missing biases become zeros; constants are
folded; the steps of a GRU or LSTM that was unrolled are one operator again; conversions from and to
other types at the edges, operators that nothing reads and tensors that nothing refers to are
dropped. What cannot be imported is reported all at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from compress.errors import UnsupportedLayer, UserError
from compress.integer.check import check_graph, check_operator
from compress.integer.referenced import referenced, referenced_only, without_unread_pads
from compress.operator_interface.checks import check_activation
from compress.operators.registry import BUILTINS
from compress.ops import CustomOperator, Op, activations_of
from compress.recurrent.roll import rolled
from compress.tflite.dilated import with_dilations
from compress.tflite.edges import int8_core, left_out, without_floats
from compress.tflite.fold import simplified
from compress.tflite.fold_functions import BIT_PRESERVING
from compress.tflite.problems import Problem, in_one_line
from compress.tflite.read import read
from compress.tflite.recognize import kind_of, whole_refusal
from compress.tflite.rows import rows_of_one_batch
from compress.tflite.tables import with_tables
from compress.tflite.variables import without_variables
from compress.tflite_records.file import (
    KIND_NAMES,
    BuiltinOperator,
    File,
    FileOperator,
    FileState,
    TensorType,
)
from compress.tflite_records.import_node import ImportNode, Padded
from compress.tflite_records.names import shortened
from compress.tflite_records.tensor import FILE_TYPES, first_state, from_file, type_name
from compress.tflite_records.uint8 import UINT8_OPERATORS, as_int8
from compress.types import Graph, Tensor, Variable

_TYPES = (*FILE_TYPES.values(), TensorType.INT64)  # of the operands
# Operators on activations that need no scale. Others compute plain integers otherwise.
_ON_PLAIN_NUMBERS = (*BIT_PRESERVING, BuiltinOperator.PAD, BuiltinOperator.PADV2)
_NO_CUSTOMS: Mapping[str, CustomOperator] = {}
# Kinds of which there are forms without a second operand.
_LACKING = (BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM,)
_UNUSED = Tensor("unused", (), "int8", (1.0,))  # in place of a tensor that nothing refers to


def import_tflite(
    data: bytes, name: str, customs: Mapping[str, CustomOperator] = _NO_CUSTOMS
) -> Graph:
    """The graph in a .tflite file, checked.

    Operators have the names they were exported with; those of other files get kind and position.
    Where inputs or outputs are not int8, the graph is the part of the model that computes in
    integers (`compress.tflite.edges`) and its name says so: "NAME (int8 core)", or "NAME (int8 core
    without LOG_SOFTMAX)". A model in uint8 quantization is imported as int8 throughout.

    `customs` has the definitions of custom operators by code.

    Raises UserError for a file that is damaged or inconsistent, UnsupportedLayer for an operator,
    type or parameter that the operators of `compress.ops` do not have.
    """
    return import_with_indices(data, name, customs)[0]


def import_with_indices(
    data: bytes, name: str, customs: Mapping[str, CustomOperator] = _NO_CUSTOMS
) -> tuple[Graph, tuple[int, ...]]:
    """The graph of `import_tflite`, and for each of its tensors the index in the file.

    A tensor that the file lacks, such as a bias or an activation between two operators that one of
    the file is imported as, has an index beyond it. Conversely, not every activation of the file is
    one of the graph: a fused PAD and conversions have outputs of their own.
    A variable tensor is two of the graph's: the state that is read, and the one that is written.
    """
    stored = read(data)
    try:
        simple = simplified(without_variables(stored))
        file = as_int8(simple)
        core = int8_core(file)
        core_file = rows_of_one_batch(with_dilations(with_tables(without_floats(core))))
        label = name + _what_of(file, core)
        return _graph(core_file, label, customs, uint8=file is not simple)
    except (UnsupportedLayer, UserError):
        # What the file is as a whole says more than the first operator that it fails at.
        if refusal := whole_refusal(stored):
            raise UnsupportedLayer(refusal) from None
        raise


def _what_of(file: File, core: File) -> str:
    """What the name says of the part of the file that is imported; '' if it is all of it."""
    if core is file:
        return ""
    lacking = ", ".join(left_out(file, core))
    return f" (int8 core without {lacking})" if lacking else " (int8 core)"


def _graph(
    file: File, name: str, customs: Mapping[str, CustomOperator], uint8: bool
) -> tuple[Graph, tuple[int, ...]]:
    """The graph of one file, imported with the file's tensor indices, then renumbered."""
    tensors = [_UNUSED] * len(file.tensors)
    states: list[Variable] = []
    ops = _built(file, tensors, states, customs, uint8)
    if not ops and set(file.outputs) <= set(file.inputs):
        raise UnsupportedLayer("no operator computes anything: the outputs are the inputs")
    for index in (*file.inputs, *file.results, *(state.read for state in file.states)):
        tensors[index] = _tensor(file, index)
    graph = Graph(
        name=name,
        tensors=tuple(tensors),
        ops=tuple(without_unread_pads(ops, file.results)),
        inputs=file.inputs,
        outputs=file.outputs,
        variables=(*(_variable(tensors, state) for state in file.states), *states),
        uint8=uint8,
    )
    stored_as = {state.written: state.read for state in states}
    indices = tuple(stored_as.get(index, index) for index in referenced(graph))
    graph = referenced_only(graph)
    try:
        check_graph(graph)
    except UnsupportedLayer as first:
        raise UnsupportedLayer(_all_of(graph) or str(first)) from None
    graph = rolled(graph)
    indices = tuple(indices[index] for index in referenced(graph))
    return referenced_only(graph), indices


def _variable(tensors: Sequence[Tensor], state: FileState) -> Variable:
    read = tensors[state.read]
    if state.initial is None:
        return Variable(state.read, state.written, first_state(read))
    first = np.frombuffer(state.initial.tobytes(), np.dtype(read.item).newbyteorder("<"))
    return Variable(state.read, state.written, first.astype(read.item).reshape(read.shape))


def _built(
    file: File,
    tensors: list[Tensor],
    states: list[Variable],
    customs: Mapping[str, CustomOperator],
    uint8: bool,
) -> list[Op]:
    """The operators; `tensors` gets those that they refer to, `states` the states that they keep.

    Raises UnsupportedLayer for all that cannot be imported at once.
    """
    padded: dict[int, Padded] = {}
    ops: list[Op] = []
    problems: list[Problem] = []
    for position, stored in enumerate(file.operators):
        builtin, label = BUILTINS.get(stored.code), _label(file, position)
        if builtin is None or builtin.build is None:
            problems.append(_problem(file, position, ""))
            continue
        try:
            unknown = stored.code == BuiltinOperator.CUSTOM and stored.custom not in customs
            if uint8 and stored.code not in UINT8_OPERATORS:
                reason = "has no exact kernel on uint8, only on int8"
                if stored.code == BuiltinOperator.CUSTOM:
                    reason = "in a model on uint8, they are taken in models on int8 only"
                raise UnsupportedLayer(f"{label}: {kind_of(stored)} {reason}")
            # The import of an unknown custom operator refuses it, whatever its operands are.
            for index in () if unknown else _checked_operands(file, stored, label, builtin.several):
                if tensors[index] is _UNUSED:
                    tensors[index] = _tensor(file, index)
            node = ImportNode(stored, label, file, tensors, padded, states, customs, uint8)
            built = builtin.build(node)
            ops += built if isinstance(built, tuple) else (built,)
        except UnsupportedLayer as error:
            problems.append(_problem(file, position, str(error)))
    if problems:
        raise UnsupportedLayer(in_one_line(problems))
    return ops


def _tensor(file: File, index: int) -> Tensor:
    """A tensor of the graph; messages name those that the file does not name by their index."""
    stored = file.tensors[index]
    return from_file(stored if stored.name else replace(stored, name=f"tensor_{index}"))


def _all_of(graph: Graph) -> str:
    """All operators' problems in one line; '' if the graph's problem is not one of an operator."""
    problems = []
    for op in graph.ops:
        try:
            for index in activations_of(op):
                check_activation(graph.tensors[index])
            check_operator(graph, op)
        except UnsupportedLayer as error:
            problems.append(Problem(type(op).__name__, op.name, "", str(error)))
        except UserError:
            continue  # it follows from the problem of another one
    return in_one_line(problems)


def _label(file: File, position: int) -> str:
    """The name of an operator in errors and in the graph."""
    operator = file.operators[position]
    if operator.name:
        return operator.name
    return f"{KIND_NAMES.get(operator.code, 'operator').lower()}_{position}"


def _problem(file: File, position: int, reason: str) -> Problem:
    operator = file.operators[position]
    output = file.tensors[operator.outputs[0]].name if operator.outputs else ""
    return Problem(kind_of(operator), _label(file, position), shortened(output), reason)


def _checked_operands(file: File, stored: FileOperator, label: str, several: bool) -> list[int]:
    """The indices of an operator's tensors; with `several`, it may have more than one output.

    Raises UnsupportedLayer for operands of other types than those of
    `compress.tflite_records.tensor` and for activations without a scale, UserError for missing
    operands.
    """
    outputs = len(stored.outputs) == 1 or (several and len(stored.outputs) > 1)
    needed = 1 if stored.code in _LACKING else 2
    if not stored.inputs or min(stored.inputs[:needed]) < 0 or not outputs:
        raise UserError(f"{label}: damaged: inputs {stored.inputs}, outputs {stored.outputs}")
    operands = [index for index in (*stored.inputs, *stored.outputs) if index >= 0]
    for index in operands:
        tensor = file.tensors[index]
        if tensor.type not in _TYPES:
            name = shortened(tensor.name) or f"tensor {index}"
            raise UnsupportedLayer(f"{label}: {name} is {type_name(tensor.type)}, must be int8")
        if not tensor.scales and tensor.data is None and stored.code not in _ON_PLAIN_NUMBERS:
            name = shortened(tensor.name) or f"tensor {index}"
            raise UnsupportedLayer(f"{label}: {name} has no scale, must be quantized")
    return operands
