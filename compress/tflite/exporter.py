"""Export of a `Graph` as a .tflite file that any TensorFlow Lite runtime executes.

Each operator's family in `compress.operators` writes its records. Equal graphs give equal bytes.
States that no operator keeps itself become resource variables: they are read before the first
operator and assigned after the last, and CALL_ONCE assigns their first values.
A Recurrence becomes operators of its steps. A graph in uint8 quantization is stored in it.
"""

from __future__ import annotations

from dataclasses import replace

from compress.integer.referenced import referenced_only
from compress.operators.registry import operator_of
from compress.recurrent.unroll import unrolled
from compress.tflite.write import write
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import (
    BuiltinOperator,
    File,
    FileOperator,
    FileTensor,
    Subgraph,
    TensorType,
)
from compress.tflite_records.tensor import raw_bytes
from compress.tflite_records.uint8 import as_uint8
from compress.types import Graph, Variable


def export_tflite(graph: Graph) -> bytes:
    """The .tflite file. Raises UnsupportedLayer for an average pool that is padded explicitly."""
    graph = unrolled(referenced_only(graph))
    context = ExportContext(graph)
    for op in graph.ops:
        operator_of(op).export(context, op)
        # The last record is the operator's own. One before it, such as a PAD, stays nameless: the
        # import fuses it back.
        context.operators[-1] = replace(context.operators[-1], name=op.name)
    file = File(
        name=graph.name,
        tensors=tuple(context.tensors),
        operators=tuple(context.operators),
        inputs=graph.inputs,
        outputs=graph.outputs,
    )
    states = [v for v in graph.variables if v.read not in context.own_states]
    file = _referenced_only(_with_variables(file, states) if states else file)
    return write(as_uint8(file) if graph.uint8 else file)


def _with_variables(file: File, states: list[Variable]) -> File:
    """The file with a resource variable for each of `states`."""
    handles = [_handle(number) for number in range(len(states))]
    tensors = [*file.tensors, *handles]
    first = len(file.tensors)
    call = FileOperator(BuiltinOperator.CALL_ONCE, (), (), {"InitSubgraphIndex": 1})
    reads, assigns = [], []
    for number, state in enumerate(states):
        handle = first + number
        reads.append(_handle_operator(number, handle))
        reads.append(FileOperator(BuiltinOperator.READ_VARIABLE, (handle,), (state.read,)))
        assigned = (handle, state.written)
        assigns.append(FileOperator(BuiltinOperator.ASSIGN_VARIABLE, assigned, ()))
    return replace(
        file,
        tensors=tuple(tensors),
        operators=(call, *reads, *file.operators, *assigns),
        further=(_first_values(file, states),),
    )


def _first_values(file: File, states: list[Variable]) -> Subgraph:
    """The subgraph that assigns the first value of each state."""
    tensors: list[FileTensor] = []
    operators = []
    for number, state in enumerate(states):
        handle = len(tensors)
        value = replace(file.tensors[state.read], data=raw_bytes(state.initial))
        tensors += [_handle(number), replace(value, name=f"state{number}_first")]
        operators.append(_handle_operator(number, handle))
        assigned = (handle, handle + 1)
        operators.append(FileOperator(BuiltinOperator.ASSIGN_VARIABLE, assigned, ()))
    return Subgraph("first_states", tuple(tensors), tuple(operators), (), ())


def _handle(number: int) -> FileTensor:
    return FileTensor(f"state{number}", (), TensorType.RESOURCE)


def _handle_operator(number: int, handle: int) -> FileOperator:
    options = {"Container": "", "SharedName": f"state{number}"}
    return FileOperator(BuiltinOperator.VAR_HANDLE, (), (handle,), options)


def _referenced_only(file: File) -> File:
    """The file without tensors that nothing refers to, such as states that an operator writes."""
    used = {*file.inputs, *file.outputs}
    for operator in file.operators:
        used.update(operator.inputs, operator.outputs, operator.intermediates)
    ordered = sorted(used - {-1})
    index = {old: new for new, old in enumerate(ordered)} | {-1: -1}

    def moved(indices: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(index[i] for i in indices)

    return replace(
        file,
        tensors=tuple(file.tensors[i] for i in ordered),
        operators=tuple(
            replace(
                operator,
                inputs=moved(operator.inputs),
                outputs=moved(operator.outputs),
                intermediates=moved(operator.intermediates),
            )
            for operator in file.operators
        ),
        inputs=moved(file.inputs),
        outputs=moved(file.outputs),
    )
