"""Networks with states and with several inputs and outputs: reference, oracles and device."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compress.errors import UserError
from compress.integer import reference
from compress.integer.check import check_graph
from compress.integer.rows import pack_rows, unpack_rows
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.types import Graph, Samples, Variable
from helpers.graph_builder import GraphBuilder
from helpers.oracles import needs_oracle
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.errors import Mismatch
from hil.measure.measure import measure
from hil.measure.oracle_check import check_oracle
from hil.target.target import Target
from hil.types import Board

SHAPE = (4, 4, 2)


def two_by_two() -> Graph:
    """Two inputs, of int8; two outputs, the second of int16."""
    b = GraphBuilder()
    left, right = b.input(SHAPE), b.input(SHAPE, scale=0.02, zero_point=9)
    both = b.add(b.conv(left, 2, (1, 1)), right)
    wide = b.widen(b.conv(both, 3))
    return replace(b.finish(both), inputs=(left, right), outputs=(both, wide))


def running_sum(initial: int | None) -> Graph:
    """A sum of the input and a state, which the next inference reads as its state.

    All values of the first state are `initial`, or differ if that is None.
    """
    b = GraphBuilder()
    x, state = b.input(SHAPE), b.input(SHAPE, scale=0.06, zero_point=2)
    added = b.add(x, state)
    like = b.tensors[state]
    b.tensors[added] = replace(b.tensors[added], scales=like.scales, zero_point=like.zero_point)
    rng = np.random.default_rng(3)
    first = rng.integers(-9, 9, like.shape) if initial is None else np.full(like.shape, initial)
    last = b.conv(added, 3)
    graph = replace(
        b.finish(last), inputs=(x,), variables=(Variable(state, added, first.astype(np.int8)),)
    )
    check_graph(graph)
    return graph


def samples_of(graph: Graph, count: int) -> Samples:
    size = sum(tensor.size_bytes for tensor in graph.input_tensors)
    inputs = np.random.default_rng(1).integers(-128, 128, (count, size), dtype=np.int8)
    outputs = reference.run(graph, inputs).reshape(count, -1)
    scores = unpack_rows(graph.output_tensors, outputs)[0].reshape(count, -1)
    return Samples(inputs, scores.argmax(1), outputs)


def test_rows_hold_the_values_in_order() -> None:
    graph = two_by_two()
    rows = samples_of(graph, 3).outputs
    assert rows.shape == (3, 4 * 4 * 2 + 2 * (2 * 2 * 3))
    first, second = unpack_rows(graph.output_tensors, rows)
    assert (first.dtype, second.dtype) == (np.int8, np.int16)
    np.testing.assert_array_equal(pack_rows([first, second]), rows)
    values = reference.trace(graph, samples_of(graph, 3).inputs)
    np.testing.assert_array_equal(values[graph.outputs[1]], second)
    with pytest.raises(ValueError, match="rows of 55 bytes, must be 56"):
        unpack_rows(graph.output_tensors, rows[:, 1:])


@needs_oracle
def test_oracles_compute_every_output() -> None:
    graph = two_by_two()
    data, samples = export_tflite(graph), samples_of(graph, 3)
    again = import_tflite(data, "again")
    assert len(again.inputs) == len(again.outputs) == 2
    np.testing.assert_array_equal(reference.run(again, samples.inputs), samples.outputs)
    assert check_oracle(data, samples).oracles
    wrong = samples.outputs.copy()
    wrong[1, -1] ^= 1  # of the second output
    with pytest.raises(Mismatch, match="output"):
        check_oracle(data, replace(samples, outputs=wrong))


def test_a_state_is_what_the_last_inference_wrote() -> None:
    graph = running_sum(7)
    (variable,) = graph.variables
    values = reference.trace(graph, samples_of(graph, 5).inputs)
    assert (values[variable.read][0] == 7).all()
    np.testing.assert_array_equal(values[variable.read][1:], values[variable.written][:-1])


def test_a_state_that_does_not_fit_is_refused() -> None:
    graph = running_sum(0)
    (variable,) = graph.variables
    for wrong, message in {
        replace(variable, initial=variable.initial[:, :2]): "first value",
        replace(variable, written=graph.output): "differ",
    }.items():
        with pytest.raises(UserError, match=message):
            check_graph(replace(graph, variables=(wrong,)))


@pytest.mark.parametrize("graph", [two_by_two(), running_sum(-3), running_sum(None)])
def test_the_device_computes_every_output_and_keeps_states(
    graph: Graph, target: Target, board: Board, tmp_path: Path
) -> None:
    plan = make_plan(graph, board)
    image = build(render(plan, board), board, tmp_path)
    samples = samples_of(graph, 9)
    whole = measure(target, image, plan, samples)
    assert (whole.correct, whole.total) == (9, 9)
    # In batches of four: the state goes on from batch to batch.
    size = 4 * (samples.inputs.shape[1] + samples.outputs.shape[1] + 18) + 64
    few = replace(image, staging=replace(image.staging, length_bytes=size))
    again = measure(target, few, plan, samples)
    assert again.outputs_sha256 == whole.outputs_sha256
    wrong = samples.outputs.copy()
    wrong[6, -1] ^= 1
    with pytest.raises(Mismatch) as caught:
        measure(target, few, plan, replace(samples, outputs=wrong))
    assert caught.value.sample == 6
    assert caught.value.layer.startswith("output")


def test_a_wrong_layer_after_a_state_is_named(target: Target, board: Board, tmp_path: Path) -> None:
    """The device has another first state than the reference: its first reader differs."""
    image = build(render(make_plan(running_sum(5), board), board), board, tmp_path)
    graph = running_sum(None)
    with pytest.raises(Mismatch, match=graph.ops[0].name):
        measure(target, image, make_plan(graph, board), samples_of(graph, 2))
