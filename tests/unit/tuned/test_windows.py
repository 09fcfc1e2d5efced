"""conv_windows and depthwise_row: which layers they take, how far the output may reach."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.ops import Conv2D, Padding
from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from hil.board import load_board
from hil.kernels.choice import all_candidates
from hil.tuned.windows import window_channels, windows_lead_bytes

M4 = load_board("m4")


def layer(size: tuple[int, int, int], units: int, **options: object) -> tuple[Graph, Conv2D]:
    b = GraphBuilder(seed=1)
    graph = b.finish(b.conv(b.input(size), units, **options))  # type: ignore[arg-type]
    (op,) = graph.ops
    assert isinstance(op, Conv2D)
    return graph, op


@given(st.data())
def test_no_output_is_written_over_an_input_that_is_still_read(data: st.DataObject) -> None:
    height, width, depth, units = (data.draw(st.integers(3, 7)) for _ in range(4))
    kernel = (data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3)))
    stride = (data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3)))
    pads = [data.draw(st.integers(0, k - 1)) for k in (*kernel, *kernel)]
    padding = Padding(pads[0], pads[2], pads[1], pads[3])
    graph, op = layer(
        (height, width, depth), units + 1, kernel=kernel, stride=stride, padding=padding
    )
    group = data.draw(st.sampled_from([2, 4, 8]))
    lead = windows_lead_bytes(graph, op, group)
    _, out_height, out_width, channels = graph.tensors[op.output].shape

    def read(pixel: int) -> set[int]:
        """The bytes of the inputs of a pixel's window, counted from the output's first byte."""
        y, x = divmod(pixel, out_width)
        rows = range(y * stride[0] - padding.top, y * stride[0] - padding.top + kernel[0])
        columns = range(x * stride[1] - padding.left, x * stride[1] - padding.left + kernel[1])
        return {
            lead + (row * width + column) * depth + channel
            for row in rows
            for column in columns
            for channel in range(depth)
            if 0 <= row < height and 0 <= column < width
        }

    pixels = out_height * out_width
    for end in range(group, pixels, group):
        following = set().union(*(read(pixel) for pixel in range(end, pixels)))
        assert not following & set(range(end * channels))


def test_filter_rows_are_filled_up_with_zeros() -> None:
    graph, op = layer((6, 6, 3), 5, kernel=(3, 3))
    channels = window_channels(graph, op)
    assert channels is not None
    rows = channels.weights.reshape(5, 3, 12)
    data = graph.tensors[op.weights].data
    assert data is not None
    assert (rows[:, :, :9] == data.reshape(5, 3, 9)).all()
    assert not rows[:, :, 9:].any()


@pytest.mark.parametrize("saves", ["flash", "ram", "nothing"])
def test_it_is_a_candidate_where_ram_counts(saves: str) -> None:
    graph, op = layer((6, 6, 4), 8, kernel=(3, 3))
    names = {kernel.name for kernel in all_candidates(graph, op, M4, saves)}  # type: ignore[arg-type]
    assert ("conv_windows" in names) == (saves == "ram")


def test_gaps_in_filters_are_left_to_other_kernels() -> None:
    graph, op = layer((9, 9, 4), 8, kernel=(3, 3), dilation=(2, 2))
    assert window_channels(graph, op) is None


def test_a_depthwise_row_takes_three_rows() -> None:
    for height, taken in ((3, True), (4, False)):
        b = GraphBuilder(seed=2)
        graph = b.finish(b.depthwise(b.input((height, 6, 5)), padding=Padding(0, 0, 1, 1)))
        names = [kernel.name for kernel in all_candidates(graph, graph.ops[0], M4, "ram")]
        assert ("depthwise_row" in names) == taken
