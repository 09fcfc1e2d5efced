"""Windows on a ring of rows begin on words, reach no other row, and outputs stay behind inputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.ops import Conv2D, Padding
from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from hil.board import load_board
from hil.kernels.choice import choose
from hil.tuned import patches, pointwise, rows
from hil.tuned.row_ring import RowRing, ring_channels, ring_of
from hil.types import Board

M4 = load_board("m4")


@st.composite
def rings(draw: st.DrawFn) -> RowRing:
    b = GraphBuilder()
    size = (draw(st.integers(1, 12)), draw(st.integers(1, 12)), draw(st.integers(1, 9)))
    padding = Padding(*(draw(st.integers(0, 3)) for _ in range(4)))
    kernel = (
        draw(st.integers(1, size[0] + padding.top + padding.bottom)),
        draw(st.integers(1, size[1] + padding.left + padding.right)),
    )
    stride = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    b.conv(b.input(size), draw(st.integers(1, 9)), kernel, stride, padding=padding)
    graph = b.finish(1)
    (op,) = graph.ops
    assert isinstance(op, Conv2D)
    ring = ring_of(graph, op)
    assert ring is not None
    return ring


def slot(ring: RowRing, line: np.ndarray) -> np.ndarray:
    """The half-words of a slot after row_ring.c expanded `line` into it, inputs in order."""
    half_words = np.full(2 * ring.slot_words, ring.zero_point)
    plain, shifted = ring.copy_of
    row = np.full(2 * ring.copy_words + 1, ring.zero_point)
    row[ring.before : ring.before + ring.used] = line[: ring.used]
    if ring.copies == 2 or ring.start(0) % 2 == 0:
        half_words[2 * plain : 2 * (plain + ring.copy_words)] = row[:-1]
    if ring.copies == 2 or ring.start(0) % 2:
        half_words[2 * shifted : 2 * (shifted + ring.copy_words)] = row[1:]
    return half_words


@given(rings(), st.integers(0, 2**32 - 1))
def test_windows_are_those_of_the_padded_input(ring: RowRing, seed: int) -> None:
    line = np.random.default_rng(seed).integers(-128, 128, ring.line_bytes)
    margin = 64 * ring.channels_in
    padded = np.pad(line, margin, constant_values=ring.zero_point)
    half_words = slot(ring, line)
    for window in range(2 * ring.pairs):
        at = ring.offset_bytes(window)
        assert at == ring.offset_bytes(0) + window // 2 * ring.step_bytes + (
            ring.next_bytes if window % 2 else 0
        )
        assert at % 4 == 0
        assert at // 2 + 2 * ring.run_words <= len(half_words)
        if window < ring.out_columns:
            first = margin + (window * ring.stride[1] - ring.left) * ring.channels_in
            expected = padded[first : first + ring.run]
            np.testing.assert_array_equal(half_words[at // 2 :][: ring.run], expected)


@settings(max_examples=1000)
@given(rings(), st.integers(1, 3))
def test_an_output_at_its_lead_never_reaches_a_row_to_be_read(ring: RowRing, group: int) -> None:
    """By a run of the loops of conv_rows.c over bytes that remember who wrote them."""
    ends = [min(row + group, ring.out_rows) for row in range(0, ring.out_rows, group)]
    lead = ring.lead_bytes((end - 1, end * ring.out_columns) for end in ends)

    def overwrites(lead: int) -> bool:
        written, filled = 0, 0
        for end in ends:
            first = (end - group if end % group == 0 else end // group * group) * ring.stride[0]
            count = (end - 1) * ring.stride[0] + ring.filter_rows
            for row in range(max(filled, first), count):
                line = row - ring.top
                if 0 <= line < ring.lines and lead + line * ring.line_bytes < written:
                    return True
            filled = count
            written = end * ring.out_columns * ring.channels_out
        return False

    assert not overwrites(lead)
    # Rows that a longer stride skips are not told from others.
    assert lead == 0 or ring.stride[0] > ring.filter_rows or overwrites(lead - 1)


def conv(units: int = 8, depth: int = 8, **options: object) -> Graph:
    b = GraphBuilder(seed=1)
    return b.finish(b.conv(b.input((6, 6, depth)), units, **options))  # type: ignore[arg-type]


def with_weight(graph: Graph, value: int) -> Graph:
    """The graph with `value` as all weights of its one layer."""
    (op,) = graph.ops
    assert isinstance(op, Conv2D)
    tensors = list(graph.tensors)
    old = tensors[op.weights]
    tensors[op.weights] = replace(old, data=np.full(old.shape, value, np.int8))
    return replace(graph, tensors=tuple(tensors))


def kernels(graph: Graph, board: Board = M4) -> set[str]:
    """The tuned kernels that take the graph's layer."""
    (op,) = graph.ops
    tuned = (*pointwise.KERNELS, *patches.KERNELS, *rows.KERNELS)
    return {kernel.name for one in tuned for kernel in one.kernels(graph, op, board)}


def test_kernels_take_what_they_are_made_for() -> None:
    assert kernels(conv()) == {"conv_rows_ram", "conv_rows"}
    assert kernels(conv(), load_board("m7")) == {"conv_rows"}
    assert kernels(conv(depth=1, units=64)) == {
        "conv_patches_ram",
        "conv_patches",
        "conv_rows_ram",
        "conv_rows",
    }
    one = conv(kernel=(1, 1), depth=7)
    assert {"conv_pointwise_ram", "conv_pointwise"} <= kernels(one)
    assert choose(one, one.ops[0], M4).name == "conv_pointwise_ram"


@pytest.mark.parametrize(
    "graph",
    [
        conv(groups=2),
        conv(dilation=(2, 1)),
        conv(dilation=(1, 2)),
        conv(units=3),  # a panel has four channels
        with_weight(conv(), -128),  # a + 256 * b leaves int16
        with_weight(conv(depth=1000), 127),  # a sum leaves 24 bits
        conv(depth=3000, stride=(1, 1)),  # the second pixel is out of an LDR's reach
        conv(gain=1e-6),  # multipliers above 1
    ],
    ids=("groups", "rows", "columns", "units", "pair", "sum", "reach", "multiplier"),
)
def test_layers_without_a_proof_are_left_to_other_kernels(graph: Graph) -> None:
    assert not kernels(graph)
    choose(graph, graph.ops[0], M4)


@pytest.mark.parametrize("name", ["m0", "m3", "m55"])
def test_other_cores_are_left_to_other_kernels(name: str) -> None:
    assert not kernels(conv(), load_board(name))


def test_numbers_above_16_bits_are_refused() -> None:
    b = GraphBuilder()
    b.conv(b.input((3, 20000, 8)), 4)
    graph = b.finish(1)
    (op,) = graph.ops
    assert isinstance(op, Conv2D)
    ring = ring_of(graph, op)
    assert ring is not None
    assert ring.slot_words > 2**16
    assert not ring.is_countable(1)
    assert not kernels(graph)


def test_taps_that_fill_up_a_row_have_a_weight_of_0() -> None:
    graph = conv(depth=3)
    (op,) = graph.ops
    assert isinstance(op, Conv2D)
    ring = ring_of(graph, op)
    assert ring is not None
    channels = ring_channels(graph, op, ring)
    assert channels is not None
    data = graph.tensors[op.weights].data
    assert data is not None
    padded = channels.weights.reshape(8, 3, 10)
    np.testing.assert_array_equal(padded[:, :, :9], data.reshape(8, 3, 9))
    assert not padded[:, :, 9].any()
