"""Graphs with states, and sequences of samples for them."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from compress.integer import reference
from compress.integer.check import check_graph
from compress.integer.rows import unpack_rows
from compress.types import Graph, Samples, Variable
from helpers.graph_builder import GraphBuilder
from helpers.recurrent_layers import append_lstm, append_recurrence, append_svdf

SHAPE = (4, 4, 2)


def samples_of(graph: Graph, count: int, seed: int = 1) -> Samples:
    """Random rows of all inputs, one sequence, labeled by the reference."""
    size = sum(tensor.size_bytes for tensor in graph.input_tensors)
    inputs = np.random.default_rng(seed).integers(-128, 128, (count, size), dtype=np.int8)
    outputs = reference.run(graph, inputs).reshape(count, -1)
    scores = unpack_rows(graph.output_tensors, outputs)[0].reshape(count, -1)
    return Samples(inputs, scores.argmax(1), outputs)


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


def delay_line(order: tuple[int, ...] = (0, 1, 2)) -> Graph:
    """The last four inputs, one beside the other: three states, each the last value of another.

    `order` is that of the variables.
    """
    b = GraphBuilder()
    taps = [b.input(SHAPE) for _ in range(4)]
    states = [
        Variable(read, written, np.full((1, *SHAPE), number, np.int8))
        for number, (written, read) in enumerate(itertools.pairwise(taps))
    ]
    graph = replace(
        b.finish(b.concatenate(tuple(taps), 2), "delay_line"),
        inputs=(taps[0],),
        variables=tuple(states[number] for number in order),
    )
    check_graph(graph)
    return graph


def lstm_network() -> Graph:
    """Two LSTMs, one of several steps and clipped, and a classifier of odd size."""
    b = GraphBuilder(seed=11)
    x = append_lstm(b, b.input((5, 7)), 9, clip=0.7)
    x = append_lstm(b, x, 3, zero_point=5, cell_log2=-15, gain=2.0)
    return b.finish(b.fully_connected(b.reshape(x, (15,)), 4), "lstm_network")


def svdf_network() -> Graph:
    """SVDFs with states of int8 and int16, one of rank 1 and of a single step of memory."""
    b = GraphBuilder(seed=12)
    x = append_svdf(b, b.input((13,), zero_point=-7), 6, rank=2, memory=5)
    x = append_svdf(b, x, 5, rank=3, memory=4, dtype="int16", zero_point=-128)
    x = append_svdf(b, x, 7, rank=1, memory=1, state_zero_point=-100)
    return b.finish(b.fully_connected(x, 4), "svdf_network")


def recurrent_int16() -> Graph:
    """An LSTM on int16 (16x8)."""
    b = GraphBuilder(seed=13)
    x = append_lstm(b, b.widen(b.input((4, 6))), 5)
    return b.finish(b.narrow(x), "recurrent_int16")


def recurrences() -> Graph:
    """A GRU over an LSTM's sequence, on int8; a GRU over that of a GRU; an LSTM's last state."""
    b = GraphBuilder(seed=14)
    x = append_recurrence(b, b.input((1, 6, 7), zero_point=-9), 9, "lstm", cell_log2=-11)
    x = append_recurrence(b, b.narrow(x), 10, "gru")
    x = append_recurrence(b, x, 5, "gru", sum_log2=-10)
    x = append_recurrence(b, x, 8, "lstm", last_only=True, gain=3.0)
    return b.finish(b.fully_connected(b.narrow(x), 4), "recurrences")
