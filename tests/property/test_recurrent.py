"""Operators with states equal tflite-micro over sequences, and real arithmetic within rounding."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compress.integer import reference
from compress.integer.check import check_graph
from compress.integer.eliminate import eliminate
from compress.ops import Lstm
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.tflite.oracle import MICRO
from compress.types import Array, Graph
from helpers.graph_builder import GraphBuilder
from helpers.oracles import needs_oracle
from helpers.recurrent_layers import append_lstm, append_svdf
from helpers.state_graphs import lstm_network, recurrent_int16, samples_of, svdf_network
from hil.measure.oracle_check import check_oracle

SEQUENCE = 6
relaxed = settings(deadline=None, suppress_health_check=list(HealthCheck))
scales = st.sampled_from([1 / 255, 1.0]) | st.floats(1e-3, 2.0)
zero_points = st.sampled_from([-128, 127, 0]) | st.integers(-128, 127)
sizes = st.integers(1, 9)
gains = st.sampled_from([0.1, 1.0, 5.0])


@st.composite
def lstms(draw: st.DrawFn, *, wide: bool) -> Graph:
    """One LSTM of any scales, on int8 or, between conversions, on int16."""
    b = GraphBuilder(seed=draw(st.integers(0, 2**32 - 1)))
    x = b.input((draw(st.integers(1, 4)), draw(sizes)), draw(scales), draw(zero_points))
    x = append_lstm(
        b,
        b.widen(x, draw(st.integers(0, 7))) if wide else x,
        draw(sizes),
        scale=draw(st.sampled_from([2.0**-7]) | st.floats(0.002, 0.02)),
        zero_point=draw(st.integers(-40, 40)),
        cell_log2=draw(st.integers(-16, -8)),
        clip=draw(st.sampled_from([0.0, 0.3, 10.0])),
        gain=draw(gains),
    )
    return b.finish(b.narrow(x) if wide else x, "lstm")


@st.composite
def svdfs(draw: st.DrawFn) -> Graph:
    """One SVDF with a state of int8 or int16."""
    b = GraphBuilder(seed=draw(st.integers(0, 2**32 - 1)))
    x = append_svdf(
        b,
        b.input((draw(st.integers(1, 20)),), draw(scales), draw(zero_points)),
        draw(sizes),
        rank=draw(st.integers(1, 3)),
        memory=draw(sizes),
        dtype=draw(st.sampled_from(["int8", "int16"])),
        state_zero_point=draw(zero_points),
        zero_point=draw(zero_points),
        gain=draw(gains),
    )
    return b.finish(x, "svdf")


def assert_judged(data: bytes, graph: Graph, seed: int) -> None:
    """Layers, states included, and outputs are those of tflite-micro."""
    judged = check_oracle(data, samples_of(graph, SEQUENCE, seed))
    assert judged.oracles or not MICRO.installed, judged.remarks


def assert_equal_to_oracle(graph: Graph, seed: int) -> None:
    check_graph(graph)
    data, inputs = export_tflite(graph), samples_of(graph, SEQUENCE, seed).inputs
    assert_judged(data, graph, seed)
    back = import_tflite(data, graph.name)
    assert export_tflite(back) == data
    np.testing.assert_array_equal(reference.run(back, inputs), reference.run(graph, inputs))


@needs_oracle
@settings(relaxed, max_examples=40)
@given(lstms(wide=False), st.integers(0, 99))
def test_lstm_equals_the_oracle(graph: Graph, seed: int) -> None:
    assert_equal_to_oracle(graph, seed)


@needs_oracle
@settings(relaxed, max_examples=40)
@given(lstms(wide=True), st.integers(0, 99))
def test_lstm_on_int16_equals_the_oracle(graph: Graph, seed: int) -> None:
    assert_equal_to_oracle(graph, seed)


@needs_oracle
@settings(relaxed, max_examples=40)
@given(svdfs(), st.integers(0, 99))
def test_svdf_equals_the_oracle(graph: Graph, seed: int) -> None:
    assert_equal_to_oracle(graph, seed)


@needs_oracle
@pytest.mark.parametrize("seed", range(4))
def test_many_values_have_the_precision_of_the_oracle(seed: int) -> None:
    """Values of int16 show the last bits of multipliers."""
    b = GraphBuilder(seed)
    x = b.input((6, 20), b.rng.uniform(0.005, 0.1))
    lstm = b.finish(append_lstm(b, x, 60, cell_log2=-12, gain=0.5))
    assert_judged(export_tflite(lstm), lstm, seed)
    b = GraphBuilder(seed)
    x = b.input((40,), b.rng.uniform(0.005, 0.1))
    svdf = b.finish(append_svdf(b, x, 60, rank=3, dtype="int16", zero_point=-128))
    assert_judged(export_tflite(svdf), svdf, seed)


@pytest.mark.parametrize("seed", range(8))
def test_lstm_is_close_to_the_real_one(seed: int) -> None:
    """In floating point from the integer states before an inference; gates do not saturate."""
    b = GraphBuilder(seed)
    graph = b.finish(append_lstm(b, b.input((1 + seed % 4, 6)), 5, clip=seed % 2 * 0.5, gain=0.7))
    (op,) = graph.ops
    assert isinstance(op, Lstm)
    tensors = graph.tensors
    inputs = samples_of(graph, 3, seed).inputs
    values = reference.trace(graph, inputs)

    def real(index: int, sample: int) -> Array:
        tensor = tensors[index]
        stored = values[index][sample] if tensor.data is None else tensor.data
        return (stored.astype(float) - tensor.zero_point) * tensor.scale

    for sample in range(3):
        h, c = real(op.hidden, sample), real(op.cell, sample)
        for x in real(op.input, sample):
            i, f, g, o = (
                real(w, 0) @ x + real(r, 0) @ h + real(b, 0)
                for w, r, b in zip(op.input_weights, op.recurrent_weights, op.biases, strict=True)
            )
            i, f, o = (1 / (1 + np.exp(-v)) for v in (i, f, o))
            limit = op.cell_clip or math.inf
            c = np.clip(f * c + i * np.tanh(g), -limit, limit)
            h = o * np.tanh(c)
        # Half a unit of the output in each step, and what it changes in the next ones.
        assert np.abs(real(op.next_hidden, sample) - h).max() < 1.5 * tensors[op.output].scale


@pytest.mark.parametrize("graph", [lstm_network(), svdf_network(), recurrent_int16()])
def test_elimination_keeps_every_bit(graph: Graph) -> None:
    inputs = samples_of(graph, SEQUENCE).inputs
    smaller = eliminate(graph)
    check_graph(smaller)
    np.testing.assert_array_equal(reference.run(smaller, inputs), reference.run(graph, inputs))
