"""A Recurrence equals the operators that it is defined as, and these the oracles."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compress.integer import reference
from compress.integer.check import check_graph
from compress.integer.eliminate import eliminate
from compress.ops import Recurrence
from compress.recurrent.unroll import unrolled
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.tflite.oracle import ORACLES
from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from helpers.oracles import needs_oracle
from helpers.recurrent_layers import append_recurrence
from helpers.state_graphs import samples_of
from hil.measure.oracle_check import check_oracle

relaxed = settings(deadline=None, suppress_health_check=list(HealthCheck))
SAMPLES = 5


@st.composite
def recurrences(draw: st.DrawFn) -> Graph:
    """One or two layers of either kind, on int8 or int16, whole sequences or their ends."""
    b = GraphBuilder(seed=draw(st.integers(0, 2**32 - 1)))
    shape = (1, draw(st.sampled_from([1, 2, 5, 11])), draw(st.integers(1, 9)))
    zero_point = draw(st.sampled_from([-128, 127, 0]) | st.integers(-128, 127))
    x = b.input(shape, draw(st.sampled_from([1 / 255, 1.0]) | st.floats(1e-3, 2.0)), zero_point)
    if draw(st.booleans()):
        x = b.widen(x, draw(st.integers(0, 7)))
    layers = draw(st.integers(1, 2))
    for layer in range(layers):
        x = append_recurrence(
            b,
            x,
            draw(st.integers(1, 9)),
            draw(st.sampled_from(["gru", "lstm"])),
            last_only=layer == layers - 1 and draw(st.booleans()),
            sum_log2=draw(st.integers(-12, -8)),
            cell_log2=draw(st.integers(-15, -8)),
            gain=draw(st.sampled_from([0.1, 1.0, 5.0])),
        )
    return b.finish(b.narrow(x) if draw(st.booleans()) else x, "recurrence")


@settings(relaxed, max_examples=40)
@given(recurrences(), st.integers(0, 99))
def test_a_recurrence_is_its_operators(graph: Graph, seed: int) -> None:
    check_graph(graph)
    steps = unrolled(graph)
    check_graph(steps)
    inputs = samples_of(graph, SAMPLES, seed).inputs
    np.testing.assert_array_equal(reference.run(steps, inputs), reference.run(graph, inputs))


@needs_oracle
@settings(relaxed, max_examples=25)
@given(recurrences(), st.integers(0, 99))
def test_a_recurrence_equals_the_oracle(graph: Graph, seed: int) -> None:
    data, samples = export_tflite(graph), samples_of(graph, SAMPLES, seed)
    judged = check_oracle(data, samples)
    assert judged.oracles or not any(oracle.installed for oracle in ORACLES), judged.remarks
    back = import_tflite(data, graph.name)
    found = [op for op in back.ops if isinstance(op, Recurrence)]
    if graph.input_tensor.shape[2] > 1:  # a single step does not show the recurrent weights
        assert len(found) == sum(isinstance(op, Recurrence) for op in graph.ops)
        assert export_tflite(back) == data
    outputs = reference.run(back, samples.inputs).reshape(SAMPLES, -1)
    np.testing.assert_array_equal(outputs, samples.outputs)


@settings(relaxed, max_examples=20)
@given(recurrences())
def test_elimination_keeps_every_bit(graph: Graph) -> None:
    inputs = samples_of(graph, SAMPLES).inputs
    smaller = eliminate(graph)
    check_graph(smaller)
    np.testing.assert_array_equal(reference.run(smaller, inputs), reference.run(graph, inputs))
