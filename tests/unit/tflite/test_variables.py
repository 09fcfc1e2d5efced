"""Resource variables of a .tflite file: export, import, and the order of reads and assignments."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from compress.errors import UnsupportedLayer, UserError
from compress.integer import reference
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.tflite.oracle import MICRO
from compress.tflite.read import read
from compress.tflite.write import write
from compress.tflite_records.file import BuiltinOperator, File, FileOperator, TensorType
from compress.types import Graph
from helpers.graph_variants import edited, with_edges, with_operator
from helpers.oracles import assert_oracles_compute, needs_oracle
from helpers.state_graphs import delay_line, running_sum, samples_of
from hil.measure.oracle_check import check_oracle

# Operators of an exported `running_sum`.
CALL_ONCE, HANDLE, READ, ADD, CONV, ASSIGN = range(6)


@needs_oracle
@pytest.mark.parametrize(
    "graph", [running_sum(-3), running_sum(None), delay_line(), delay_line((2, 0, 1))]
)
def test_oracles_keep_the_states_of_an_exported_graph(graph: Graph) -> None:
    data, samples = export_tflite(graph), samples_of(graph, 7)
    assert len(check_oracle(data, samples).oracles) >= 1
    back = import_tflite(data, graph.name)
    assert export_tflite(back) == data
    np.testing.assert_array_equal(
        reference.run(back, samples.inputs), reference.run(graph, samples.inputs)
    )
    for found, variable in zip(back.variables, graph.variables, strict=True):
        np.testing.assert_array_equal(found.initial, variable.initial)


@needs_oracle
@pytest.mark.parametrize("type_", [TensorType.FLOAT32, TensorType.UINT8])
def test_states_beside_conversions_at_the_edges(type_: int) -> None:
    graph = running_sum(4)
    inner = read(with_edges(graph, type_))
    data = write(replace(inner, further=read(export_tflite(graph)).further))
    assert_oracles_compute(data, import_tflite(data, "edges"), samples_of(graph, 4).inputs)


def with_state(change: Callable[[File, int, int], list[FileOperator]]) -> bytes:
    """An exported `running_sum` with operators of `change` from (file, handle, spare tensor).

    The spare tensor, the last one of the file, is like the state.
    """
    file = read(export_tflite(running_sum(5)))
    (handle,) = file.operators[HANDLE].outputs
    (state,) = file.operators[READ].outputs
    spare = replace(file.tensors[state], name="spare")
    file = replace(file, tensors=(*file.tensors, spare))
    return write(replace(file, operators=tuple(change(file, handle, len(file.tensors) - 1))))


@needs_oracle
def test_a_read_after_an_assignment_has_the_new_value() -> None:
    def assigned_first(file: File, handle: int, spare: int) -> list[FileOperator]:
        *others, conv, assign = file.operators
        again = FileOperator(BuiltinOperator.READ_VARIABLE, (handle,), (spare,))
        return [*others, assign, again, replace(conv, inputs=(spare, *conv.inputs[1:]))]

    graph = running_sum(5)
    data, inputs = with_state(assigned_first), samples_of(graph, 5).inputs
    assert_oracles_compute(data, import_tflite(data, "again"), inputs)
    np.testing.assert_array_equal(
        reference.run(import_tflite(data, "again"), inputs), reference.run(graph, inputs)
    )


@needs_oracle
def test_two_reads_before_an_assignment_have_the_old_value() -> None:
    def read_twice(file: File, handle: int, spare: int) -> list[FileOperator]:
        call, make, first, add, conv, assign = file.operators
        again = FileOperator(BuiltinOperator.READ_VARIABLE, (handle,), (spare,))
        return [
            call,
            make,
            first,
            again,
            add,
            replace(conv, inputs=(spare, *conv.inputs[1:])),
            assign,
        ]

    data, inputs = with_state(read_twice), samples_of(running_sum(5), 5).inputs
    graph = import_tflite(data, "twice")
    (variable,) = graph.variables
    assert graph.ops[1].input == variable.read
    assert_oracles_compute(data, graph, inputs)


@needs_oracle
def test_a_variable_that_is_not_read_first_is_no_state() -> None:
    def never_old(file: File, handle: int, spare: int) -> list[FileOperator]:
        call, make, first, add, conv, assign = file.operators
        add = replace(add, inputs=(add.inputs[0], add.inputs[0]))
        return [
            call,
            make,
            add,
            assign,
            first,
            replace(conv, inputs=(*first.outputs, *conv.inputs[1:])),
        ]

    data = with_state(never_old)
    graph = import_tflite(data, "stateless")
    assert not graph.variables
    assert_oracles_compute(data, graph, samples_of(running_sum(5), 5).inputs)


@pytest.mark.skipif(not MICRO.installed, reason="tflite-micro is not installed")
def test_a_variable_without_a_first_value_begins_with_its_zero_point() -> None:
    data = with_state(lambda file, handle, spare: list(file.operators[1:]))
    graph, inputs = import_tflite(data, "zero"), samples_of(running_sum(5), 4).inputs
    assert (graph.variables[0].initial == 2).all()
    expected = reference.run(MICRO.as_computed(graph), inputs)
    np.testing.assert_array_equal(MICRO.interpret(data, inputs).reshape(expected.shape), expected)


def with_first(index: int, **changes: object) -> Callable[[File], File]:
    """The file with an operator of the subgraph of first values changed."""

    def edit(file: File) -> File:
        (first,) = file.further
        operators = list(first.operators)
        operators[index] = replace(operators[index], **changes)  # type: ignore[arg-type]
        return replace(file, further=(replace(first, operators=tuple(operators)),))

    return edit


def with_scale(file: File) -> File:
    """The file with another scale of the tensor that is read."""
    (state,) = file.operators[READ].outputs
    tensors = list(file.tensors)
    tensors[state] = replace(tensors[state], scales=(0.5,))
    return replace(file, tensors=tuple(tensors))


def with_short_value(file: File) -> File:
    (first,) = file.further
    handle, value = first.tensors
    short = replace(value, shape=(1, 4), data=value.data[:4])  # type: ignore[index]
    return replace(file, further=(replace(first, tensors=(handle, short)),))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (with_scale, "variable state0 is read with another type, shape or scale"),
        (with_short_value, "the first value of variable state0 has another type or size"),
        (with_first(1, code=BuiltinOperator.MUL), "MUL computes the first value of a variable"),
        (with_first(1, inputs=(0, 0)), "first value of variable state0 is not a constant"),
        (with_operator(HANDLE, outputs=(0,)), "READ_VARIABLE of a variable without VAR_HANDLE"),
        (with_operator(CALL_ONCE, options={"InitSubgraphIndex": 7}), "CALL_ONCE of subgraph 7"),
    ],
)
def test_variables_of_another_use_are_refused(edit: Callable[[File], File], message: str) -> None:
    with pytest.raises(UnsupportedLayer, match=message):
        import_tflite(edited(running_sum(5), edit), "model")


def test_a_constant_that_is_assigned_is_refused() -> None:
    def reset(file: File, handle: int, spare: int) -> list[FileOperator]:
        weights = file.operators[CONV].inputs[1]
        return [*file.operators[:-1], replace(file.operators[-1], inputs=(handle, weights))]

    with pytest.raises(UnsupportedLayer, match="variable state0 is assigned a constant"):
        import_tflite(with_state(reset), "model")


def test_a_file_without_subgraphs_is_refused() -> None:
    data = export_tflite(running_sum(5))
    assert len(read(data).further) == 1
    with pytest.raises(UserError, match="damaged"):
        read(data[: len(data) // 2])


@pytest.mark.parametrize("kind", ["WHILE", "IF"])
def test_loops_and_branches_are_refused_by_name(kind: str) -> None:
    edit = with_operator(ADD, code=getattr(BuiltinOperator, kind), options={})
    with pytest.raises(UnsupportedLayer, match=f"there is no integer kernel for {kind}"):
        import_tflite(edited(running_sum(5), edit), "model")
