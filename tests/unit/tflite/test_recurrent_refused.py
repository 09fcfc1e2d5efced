"""Refusals of LSTMs and SVDFs that have no integer kernel, or are inconsistent."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tflite

from compress.errors import UnsupportedLayer, UserError
from compress.integer.check import check_graph
from compress.ops import Lstm, Svdf
from compress.tflite.importer import import_tflite
from compress.tflite_records.file import File, TensorType
from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from helpers.graph_variants import edited
from helpers.recurrent_layers import append_lstm, append_svdf


def lstm() -> Graph:
    b = GraphBuilder(seed=3)
    return b.finish(append_lstm(b, b.input((2, 5)), 4))


def svdf() -> Graph:
    b = GraphBuilder(seed=3)
    return b.finish(append_svdf(b, b.input((5,)), 4))


def with_operand(position: int, index: int) -> Callable[[File], File]:
    """The file of one operator with another operand."""

    def edit(file: File) -> File:
        (operator,) = file.operators
        operands = list(operator.inputs)
        operands[position] = index
        return replace(file, operators=(replace(operator, inputs=tuple(operands)),))

    return edit


def with_option(name: str, value: object) -> Callable[[File], File]:
    def edit(file: File) -> File:
        (operator,) = file.operators
        options = {**operator.options, name: value}
        return replace(file, operators=(replace(operator, options=options),))

    return edit


def with_operand_tensor(position: int, **changes: Any) -> Callable[[File], File]:
    """The file of one operator with an operand's tensor changed."""

    def edit(file: File) -> File:
        tensors = list(file.tensors)
        index = file.operators[0].inputs[position]
        tensors[index] = replace(tensors[index], **changes)
        return replace(file, tensors=tuple(tensors))

    return edit


def time_major(file: File) -> File:
    tensors = [
        replace(tensor, shape=(tensor.shape[1], 1, tensor.shape[2]))
        if len(tensor.shape) == 3
        else tensor
        for tensor in file.tensors
    ]
    return with_option("TimeMajor", True)(replace(file, tensors=tuple(tensors)))


RELU = tflite.ActivationFunctionType.RELU


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (with_operand(1, -1), "no integer LSTM with coupled gates"),
        (with_operand(9, 1), "no integer LSTM with peephole connections"),
        (with_operand(16, 1), "no integer LSTM with a projection"),
        (with_operand(20, 1), "no integer LSTM with layer normalization"),
        (with_option("FusedActivationFunction", RELU), "the activation of an LSTM must be tanh"),
        (time_major, "time as the first axis"),
        (with_operand_tensor(18, variable=False), "operand 18 must be a variable tensor"),
        (with_operand(19, 1), "operand 19 must be a variable tensor"),
        (with_operand_tensor(19, scales=(0.001,)), "cell state's scale is 0.001"),
        (with_operand_tensor(2, zero_points=(3,)), "must have one scale and zero point 0"),
        (with_operand_tensor(18, scales=(1e-9,)), "output must keep the input's scale"),
        (
            with_operand_tensor(12, type=TensorType.INT64, data=np.zeros(32, np.uint8)),
            "bias of int64 on int8",
        ),
    ],
)
def test_other_lstms_are_refused(edit: Callable[[File], File], message: str) -> None:
    with pytest.raises(UnsupportedLayer, match=message):
        import_tflite(edited(lstm(), edit), "model")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (with_operand(2, -1), "it lacks weights"),
        (with_option("FusedActivationFunction", RELU), "ignored by TensorFlow Lite"),
        (with_operand_tensor(4, variable=False), "operand 4 must be a variable tensor"),
        (with_operand_tensor(1, zero_points=(3,)), "must have one scale and zero point 0"),
        (
            with_operand_tensor(4, type=TensorType.INT16, zero_points=(0,)),
            "svdf_0_time must be a constant int16",
        ),
    ],
)
def test_other_svdfs_are_refused(edit: Callable[[File], File], message: str) -> None:
    with pytest.raises(UnsupportedLayer, match=message):
        import_tflite(edited(svdf(), edit), "model")


def test_a_rank_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match="svdf_0: inconsistent graph"):
        import_tflite(edited(svdf(), with_option("Rank", 3)), "model")


@pytest.mark.parametrize("shape", [(-1, 40), (0, 40), (1 << 20, 1 << 20)])
def test_a_state_without_a_possible_size_is_damaged(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"a state of shape|an extent below 0|more values than"):
        import_tflite(edited(svdf(), with_operand_tensor(4, shape=shape)), "model")


def test_an_svdf_without_bias_gets_zeros() -> None:
    graph = import_tflite(edited(svdf(), with_operand(3, -1)), "model")
    (op,) = graph.ops
    assert isinstance(op, Svdf)
    data = graph.tensors[op.bias].data
    assert data is not None
    assert not data.any()


def test_a_state_belongs_to_one_operator() -> None:
    graph = lstm()
    (op,) = graph.ops
    assert isinstance(op, Lstm)
    hidden, cell = graph.variables
    for wrong, message in {
        replace(graph, variables=(hidden,), inputs=(op.input, op.cell)): "cell is not a state",
        replace(graph, outputs=(op.next_hidden,)): "lstm_0_hidden is shared",
        replace(graph, variables=(hidden, replace(cell, initial=cell.initial + np.int16(1)))): (
            "first state"
        ),
    }.items():
        with pytest.raises(UserError, match=message):
            check_graph(wrong)


def test_one_tensor_for_both_states_is_refused() -> None:
    """Some converters write such files: the kernels would keep an int16 state in an int8 tensor."""

    def edit(file: File) -> File:
        return with_operand(19, file.operators[0].inputs[18])(file)

    with pytest.raises(UnsupportedLayer, match=r"hidden and its cell state are one tensor"):
        import_tflite(edited(lstm(), edit), "model")
