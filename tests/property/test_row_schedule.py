"""Rows in the order of a schedule, from rings of its size, are those of whole layers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.codegen.row_schedule import order_of, schedule
from hil.segment import RowInput, RowLayer, Segment


@st.composite
def segments(draw: st.DrawFn) -> tuple[list[RowLayer], dict[int, int]]:
    """Layers over rows of one number: tensor 0 is the source, layer i makes tensor i + 1."""
    heights = {0: draw(st.integers(5, 14))}
    layers: list[RowLayer] = []
    for index in range(draw(st.integers(2, 6))):
        source = index
        same = [t for t in range(1, index) if heights[t] == heights[index]]
        if len(same) > 0 and draw(st.booleans()):
            skip = draw(st.sampled_from(same))
            pair = (RowInput(skip), RowInput(source))
            inputs = draw(st.permutations(pair))
            rows = heights[index]
            layers.append(RowLayer(index, tuple(inputs), index + 1, rows))
        else:
            taps = draw(st.integers(1, min(5, heights[source])))
            stride = draw(st.integers(1, 3))
            top, bottom = draw(st.integers(0, taps - 1)), draw(st.integers(0, taps - 1))
            rows = (heights[source] + top + bottom - taps) // stride + 1
            below = max(0, (rows - 1) * stride + taps - top - heights[source])
            window = RowInput(source, taps, stride, top, below)
            layers.append(RowLayer(index, (window,), index + 1, rows))
        heights[index + 1] = rows
    return layers, heights


def whole(layers: list[RowLayer], heights: dict[int, int]) -> dict[int, list[int]]:
    """The rows of all tensors, layer by layer: each is a number that its window determines."""
    tensors = {0: [int(v) for v in np.random.default_rng(0).integers(1, 10**6, heights[0])]}
    for layer in layers:
        tensors[layer.output] = [
            row_of(layer, [window(tensors[i.tensor], i, row) for i in layer.inputs])
            for row in range(layer.rows)
        ]
    return tensors


def window(rows: list[int], one: RowInput, row: int) -> list[int]:
    first = row * one.stride - one.top
    return [rows[r] if 0 <= r < len(rows) else -1 for r in range(first, first + one.filter_rows)]


def row_of(layer: RowLayer, windows: list[list[int]]) -> int:
    return hash((layer.index, *(tuple(w) for w in windows))) & 0xFFFFFFFF


class Rings:
    """What row_stream.c does with the rings of a segment."""

    def __init__(self, segment: Segment) -> None:
        self.rings = segment.rings
        self.held: dict[int, list[int]] = {}
        self.first: dict[int, int] = {}
        for ring in segment.rings.values():
            self.held[ring.shared] = [-1] * ring.top
            self.first[ring.shared] = 0

    def add(self, tensor: int, value: int) -> None:
        ring = self.rings[tensor]
        held = self.held[ring.shared]
        if len(held) == ring.rows:
            del held[: ring.step]
            self.first[ring.shared] += ring.step
        held.append(value)
        assert len(held) <= ring.rows

    def put(self, tensor: int, row: int, value: int) -> None:
        ring = self.rings[tensor]
        self.held[ring.shared][row + ring.top - self.first[ring.shared]] = value

    def window(self, one: RowInput, row: int) -> list[int]:
        ring = self.rings[one.tensor]
        start = row * one.stride + ring.top - one.top
        held = self.held[ring.shared]
        while self.first[ring.shared] + len(held) < start + one.filter_rows:
            self.add(one.tensor, -1)
        at = start - self.first[ring.shared]
        assert at >= 0, "a row was dropped that is needed"
        return held[at : at + one.filter_rows]


@settings(max_examples=150, deadline=None)
@given(segments())
def test_rows_from_rings_are_those_of_whole_layers(
    case: tuple[list[RowLayer], dict[int, int]],
) -> None:
    layers, heights = case
    expected = whole(layers, heights)
    readers = [one.tensor for layer in layers for one in layer.inputs]
    over = {
        layer.output: one.tensor
        for layer in layers[:-1]
        for one in layer.inputs[:1]
        if (one.filter_rows, one.stride, one.top, one.bottom) == (1, 1, 0, 0)
        and readers.count(one.tensor) == 1
        and one.tensor != 0
    }
    segment = schedule(layers, heights, over)
    rings, made = Rings(segment), [0] * len(layers)
    written: list[int] = []
    for position in segment.order:
        layer, row = layers[position], made[position]
        windows = [
            window(expected[0], one, row) if one.tensor == 0 else rings.window(one, row)
            for one in layer.inputs
        ]
        value = row_of(layer, windows)
        assert value == expected[layer.output][row]
        ring = segment.rings.get(layer.output)
        if ring is None:
            written.append(value)
        elif ring.shared == layer.output:
            rings.add(layer.output, value)
        else:
            rings.put(layer.output, row, value)
        made[position] += 1
    assert written == expected[layers[-1].output]
    assert all(count <= layer.rows for count, layer in zip(made, layers, strict=True))


@settings(max_examples=100, deadline=None)
@given(segments())
def test_no_ring_can_be_smaller(case: tuple[list[RowLayer], dict[int, int]]) -> None:
    """With one row less, some row that is needed would not be there, whatever is dropped."""
    layers, heights = case
    segment = schedule(layers, heights, {})
    for tensor, ring in segment.rings.items():
        assert most_needed_at_once(layers, heights, tensor, ring.top) == ring.rows


def most_needed_at_once(
    layers: list[RowLayer], heights: dict[int, int], tensor: int, top: int
) -> int:
    """The widest span of rows, from one still needed to the newest, padding included."""
    made = [0] * len(layers)
    newest, most = top, top
    maker = next(i for i, layer in enumerate(layers) if layer.output == tensor)
    readers = [
        (i, one) for i, layer in enumerate(layers) for one in layer.inputs if one.tensor == tensor
    ]

    def oldest() -> int:
        starts = [
            made[i] * one.stride - one.top + top for i, one in readers if made[i] < layers[i].rows
        ]
        return min(starts, default=newest)

    for position in order_of(layers, heights):
        for i, one in readers:
            if i == position:
                newest = max(newest, made[i] * one.stride - one.top + top + one.filter_rows)
                most = max(most, newest - oldest())
        if position == maker:
            newest += 1
            most = max(most, newest - min(oldest(), newest - 1))
        made[position] += 1
    return most


@given(segments())
def test_each_row_is_made_once(case: tuple[list[RowLayer], dict[int, int]]) -> None:
    layers, heights = case
    order = order_of(layers, heights)
    assert order.count(len(layers) - 1) == layers[-1].rows
    for before, after in pairwise(range(len(layers))):
        assert order.index(before) < order.index(after)
