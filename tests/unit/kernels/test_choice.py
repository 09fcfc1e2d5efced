"""Kernels chosen by parameters and features of the core, and layers refused by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compress.errors import UnsupportedLayer
from compress.ops import Conv2D, Padding
from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from hil.board import load_board
from hil.codegen.plan import make_plan
from hil.kernels.choice import choose

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
