"""Networks with states and with several inputs and outputs: reference, oracles and device."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from compress.errors import UnsupportedLayer, UserError
from compress.integer import reference
from compress.integer.check import check_graph
from compress.integer.rows import pack_rows, unpack_rows
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.tflite.oracle import ORACLES
from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from helpers.oracles import needs_oracle
from helpers.state_graphs import (
    SHAPE,
    delay_line,
    lstm_network,
    recurrences,
    recurrent_int16,
    running_sum,
    samples_of,
    svdf_network,
)
from hil.cli.main import app
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.errors import Mismatch
from hil.measure.measure import measure
from hil.measure.oracle_check import check_oracle
from hil.target.target import Target
from hil.types import Board


def two_by_two() -> Graph:
    """Two inputs, of int8; two outputs, the second of int16."""
    b = GraphBuilder()
    left, right = b.input(SHAPE), b.input(SHAPE, scale=0.02, zero_point=9)
    both = b.add(b.conv(left, 2, (1, 1)), right)
    wide = b.widen(b.conv(both, 3))
    return replace(b.finish(both), inputs=(left, right), outputs=(both, wide))


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


@pytest.mark.parametrize(
    "graph",
    [
        two_by_two(),
        running_sum(-3),
        running_sum(None),
        delay_line(),
        delay_line((2, 0, 1)),
        lstm_network(),
        svdf_network(),
        recurrent_int16(),
        recurrences(),
    ],
    ids=lambda graph: graph.name,
)
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


@pytest.mark.parametrize("graph", [lstm_network(), svdf_network(), running_sum(None)])
def test_bench_runs_a_sequence(graph: Graph, board: Board, tmp_path: Path) -> None:
    """As long as the states need to fill; without dead channels, too."""
    path = tmp_path / "model.tflite"
    path.write_bytes(export_tflite(graph))
    arguments = ["bench", str(path), "--board", board.name, "--json"]
    plain, smaller = (
        json.loads(CliRunner().invoke(app, [*arguments, *more]).stdout)
        for more in ((), ("--eliminate",))
    )
    assert plain["compared"] == 32
    assert plain["bit_exact"]
    assert smaller["bit_exact"]
    if any(oracle.installed for oracle in ORACLES):
        assert plain["oracle"]


def test_states_that_exchange_their_values_are_refused(board: Board) -> None:
    graph = delay_line()
    first, second, third = graph.variables
    swapped = replace(graph, variables=(replace(first, written=second.read), second, third))
    check_graph(swapped)
    with pytest.raises(UnsupportedLayer, match=r"states .* exchange their values"):
        render(make_plan(swapped, board), board)


def test_a_wrong_layer_after_a_state_is_named(target: Target, board: Board, tmp_path: Path) -> None:
    """The device has another first state than the reference: its first reader differs."""
    image = build(render(make_plan(running_sum(5), board), board), board, tmp_path)
    graph = running_sum(None)
    with pytest.raises(Mismatch, match=graph.ops[0].name):
        measure(target, image, make_plan(graph, board), samples_of(graph, 2))
