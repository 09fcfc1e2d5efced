"""Kernels chosen by parameters and features of the core, and layers refused by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compress.errors import UnsupportedLayer
from compress.ops import Conv2D, Padding, constants_of
from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from hil.board import load_board
from hil.codegen.plan import make_plan
from hil.kernels.choice import choose
from hil.types import Memory

M3 = load_board("m3")


def kernel_of(graph: Graph, features: set[str]) -> tuple[str, int]:
    board = replace(M3, features=frozenset(features))
    kernel = choose(graph, graph.ops[-1], board, kernel_set="cmsis-nn")
    return kernel.name, kernel.scratch_bytes


def one_conv(shape: tuple[int, int, int], *arguments: object, **more: object) -> Graph:
    b = GraphBuilder()
    return b.finish(b.conv(b.input(shape), *arguments, **more))  # type: ignore[arg-type]


def one_depthwise(shape: tuple[int, int, int], *arguments: object, **more: object) -> Graph:
    b = GraphBuilder()
    return b.finish(b.depthwise(b.input(shape), *arguments, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("graph", "plain", "dsp", "mve"),
    [
        (
            one_conv((5, 5, 3), 4, (1, 1)),
            ("arm_convolve_1x1_s8_fast", 0),
            ("arm_convolve_1x1_s8_fast", 0),
            ("arm_convolve_1x1_s8_fast", 0),
        ),
        (
            one_conv((5, 5, 3), 4, (1, 1), (2, 2)),
            ("arm_convolve_1x1_s8", 0),
            ("arm_convolve_1x1_s8", 0),
            ("arm_convolve_1x1_s8", 0),
        ),
        # Padding below and to the right only: the output is larger than the input.
        (
            one_conv((5, 5, 3), 4, (1, 1), padding=Padding(0, 1, 0, 1)),
            ("arm_convolve_s8", 12),
            ("arm_convolve_s8", 12),
            ("arm_convolve_s8", 32),
        ),
        (
            one_conv((1, 10, 3), 4, (1, 3)),
            ("arm_convolve_s8", 36),
            ("arm_convolve_s8", 36),
            ("arm_convolve_1_x_n_s8", 0),
        ),
        (
            one_conv((1, 11, 3), 4, (1, 3)),
            ("arm_convolve_s8", 36),
            ("arm_convolve_s8", 36),
            ("arm_convolve_s8", 64),
        ),
        (
            one_depthwise((5, 5, 6), 1, (3, 3), padding=Padding(1, 1, 1, 1)),
            ("arm_depthwise_conv_3x3_s8", 0),
            ("arm_depthwise_conv_3x3_s8", 0),
            ("arm_depthwise_conv_s8_opt", 4464),
        ),
        # The last window's middle column is outside: the 3x3 function would read it all the same.
        (
            one_depthwise((5, 5, 6), 1, (3, 3), padding=Padding(1, 1, 0, 2)),
            ("depthwise_s8", 0),
            ("arm_depthwise_conv_s8_opt", 108),
            ("arm_depthwise_conv_s8_opt", 4464),
        ),
        (
            one_depthwise((9, 9, 6), 1, (3, 3), (1, 1), (2, 1)),
            ("depthwise_s8", 0),
            ("depthwise_s8", 0),
            ("depthwise_s8", 0),
        ),
        (
            one_depthwise((5, 5, 6), 2),
            ("arm_depthwise_conv_s8", 0),
            ("arm_depthwise_conv_s8", 0),
            ("arm_depthwise_conv_s8", 0),
        ),
        (
            one_conv((5, 5, 6), 4, groups=2),
            ("convolve_groups_s8", 0),
            ("convolve_groups_s8", 0),
            ("convolve_groups_s8", 0),
        ),
        # A window wholly above the input.
        (
            one_depthwise((5, 5, 6), 1, (2, 2), padding=Padding(2, 0, 0, 0)),
            ("depthwise_s8", 0),
            ("depthwise_s8", 0),
            ("depthwise_s8", 0),
        ),
    ],
)
def test_kernel_by_parameters_and_features(
    graph: Graph, plain: tuple[str, int], dsp: tuple[str, int], mve: tuple[str, int]
) -> None:
    assert kernel_of(graph, set()) == plain
    assert kernel_of(graph, {"dsp"}) == dsp
    assert kernel_of(graph, {"dsp", "mve"}) == mve


def with_tensor(graph: Graph, index: int, **changes: object) -> Graph:
    tensors = list(graph.tensors)
    tensors[index] = replace(tensors[index], **changes)  # type: ignore[arg-type]
    return replace(graph, tensors=tuple(tensors))


def unsupported_graphs() -> dict[str, Graph]:
    conv = one_conv((4, 4, 4), 4)
    op = conv.ops[0]
    assert isinstance(op, Conv2D)
    padded = GraphBuilder()
    x = padded.reshape(padded.input((16,)), (2, 2, 2, 2))
    x = padded.pad(x, (0, 1, 1, 1, 1), (0, 0, 0, 0, 0))
    pool = GraphBuilder()
    pool.average_pool(pool.input((4, 4, 2)), (2, 2), padding=Padding(2, 0, 0, 0))
    wide = GraphBuilder()
    wide.softmax(wide.input((4096,)))
    pooled = GraphBuilder()
    pooled.max_pool(pooled.input((4, 4, 2)), (2, 2))
    large = GraphBuilder()
    large.depthwise(large.widen(large.input((23, 23, 1))), 1, (23, 23))
    slopes = GraphBuilder()
    sloped = slopes.prelu(slopes.widen(slopes.input((4,))), slopes.constant((4,)))
    shifted = GraphBuilder()
    shifted.add(shifted.widen(shifted.input((4, 4, 2))), shifted.constant((2,)))
    order = GraphBuilder()
    y = order.reshape(order.input((3**7,)), (3,) * 7)
    order.transpose(y, (0, 7, 6, 5, 4, 3, 2, 1))
    return {
        "conv_0 is int16": with_tensor(conv, op.output, dtype="int16"),
        "must be a constant int8 with zero point 0": with_tensor(conv, op.weights, zero_point=1),
        "more than 3 padded axes": padded.finish(x),
        "wholly in the padding": pool.finish(1),
        "softmax over 4096 values": wide.finish(1),
        "more than 511 taps on int16": large.finish(1),
        "no kernel for Prelu on int16": with_tensor(slopes.finish(sloped), sloped, dtype="int16"),
        "must be a constant int16": shifted.finish(1),
        "more than 6 loops": order.finish(1),
        "must keep the input's scale": with_tensor(pooled.finish(1), 1, scales=(0.5,)),
    }


@pytest.mark.parametrize("reason", list(unsupported_graphs()))
def test_layer_without_kernel_is_refused_by_name(reason: str) -> None:
    graph = unsupported_graphs()[reason]
    with pytest.raises(UnsupportedLayer, match=f"^{graph.ops[-1].name}: .*{reason}"):
        make_plan(graph, M3)


def first_of(graph: Graph, board: str, saves: Memory = "flash") -> str:
    """The kernel of the first operator in a plan without timing, as a search takes it."""
    return choose(graph, graph.ops[0], load_board(board), saves).name


def mostly_zeros(graph: Graph) -> Graph:
    """The graph with three quarters of the first operator's weights 0."""
    (weights,) = (i for i in constants_of(graph.ops[0]) if graph.tensors[i].dtype == "int8")
    data = graph.tensors[weights].data
    assert data is not None
    kept = np.where(np.arange(data.size).reshape(data.shape) % 4, 0, data).astype(np.int8)
    return with_tensor(graph, weights, data=kept)


def one_dense(inputs: int, units: int) -> Graph:
    b = GraphBuilder()
    return b.finish(b.fully_connected(b.input((inputs,)), units))


def same_depthwise(height: int, width: int, window: int, **more: object) -> Graph:
    half = window // 2
    padding = Padding(half, half, half, half)
    return one_depthwise((height, width, 8), 1, (window, window), padding=padding, **more)


def test_where_flash_counts_a_trifle_of_a_layer_takes_the_shortest_kernel() -> None:
    pool = GraphBuilder()
    pooled = pool.finish(pool.average_pool(pool.input((4, 4, 16)), (4, 4)))
    fast = ("average_pool_s8", "fully_connected_s8")
    firsts: dict[Memory, tuple[str, str]] = {
        "flash": ("average_pool_short", "fully_connected_pairs_s8"),
        "nothing": fast,
        "ram": fast,
    }
    for saves, (mean, dense) in firsts.items():
        assert first_of(pooled, "m4", saves) == mean
        assert first_of(one_dense(64, 12), "m4", saves) == dense
    assert first_of(one_dense(64, 64), "m4") == "fully_connected_s8"  # 4,096 multiplications
    assert first_of(one_dense(64, 12), "m3") == "dense_scalar"


def test_all_dense_layers_of_a_network_are_small_or_none_is() -> None:
    b = GraphBuilder()
    graph = b.finish(b.fully_connected(b.fully_connected(b.input((16,)), 100), 100))
    kernels = [choose(graph, op, load_board("m4")).name for op in graph.ops]
    assert kernels == ["fully_connected_s8", "fully_connected_s8"]


def test_weights_that_are_mostly_0_are_filled_a_panel_at_a_time() -> None:
    """A window of up to 256 taps, of a map; others would be filled for a few pixels only."""
    short, long = (mostly_zeros(one_conv((6, 6, depth), 8)) for depth in (28, 32))
    assert first_of(short, "m4") == "conv_short_sparse"
    assert make_plan(short, load_board("m4")).steps[0].kernel == "conv_short_sparse"
    assert first_of(long, "m4") == "arm_convolve_s8"
    pixel = mostly_zeros(one_conv((1, 1, 28), 8, (1, 1)))
    assert first_of(pixel, "m4") == "arm_convolve_1x1_s8_fast"
    assert first_of(short, "m3") == "arm_convolve_s8"
    assert first_of(short, "m4", "nothing").startswith("conv_rows")


def test_depthwise_weights_that_are_mostly_0_are_read_as_they_are_with_dsp() -> None:
    graph = mostly_zeros(same_depthwise(8, 8, 3))
    assert first_of(graph, "m4") == "depthwise_map"
    assert first_of(graph, "m3") == "arm_depthwise_conv_3x3_s8"


@pytest.mark.parametrize(
    ("height", "width", "window", "dsp", "scalar"),
    [
        (16, 16, 5, "depthwise_rows", "depthwise_scalar"),  # 86 % of the taps on the input
        (8, 8, 5, "depthwise_rows", "depthwise_s8"),  # 72 %
        (4, 4, 5, "depthwise_s8", "depthwise_s8"),  # 49 %
        (4, 4, 3, "depthwise_map", "depthwise_scalar"),
    ],
)
def test_depthwise_windows_in_the_padding(
    height: int, width: int, window: int, dsp: str, scalar: str
) -> None:
    """The portable kernel skips padding; CMSIS-NN alone has no such choice."""
    graph = same_depthwise(height, width, window)
    assert (first_of(graph, "m4"), first_of(graph, "m3")) == (dsp, scalar)
    four_bits = same_depthwise(height, width, 5, weight_bits=4)
    assert first_of(four_bits, "m4") == "depthwise_s8"
    theirs = choose(four_bits, four_bits.ops[0], load_board("m4"), kernel_set="cmsis-nn")
    assert theirs.name == "arm_depthwise_conv_s8_opt"
