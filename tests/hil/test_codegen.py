"""Generated programs on emulated cores equal the integer reference bit for bit, layer by layer."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from compress.arithmetic.accumulate import accumulators
from compress.integer import reference
from compress.ops import AveragePool2D, Conv2D, DepthwiseConv2D, Function, Padding
from compress.types import Graph, Int8Array
from helpers.graph_builder import RELU, RELU6, RELU_N1_TO_1, GraphBuilder, random_inputs
from helpers.graph_examples import ds_cnn, every_op, mixed, residual, squeeze_excite, tiny_conv
from helpers.graph_strategies import graphs
from helpers.machine import RUN, RUN_REPLY, Machine
from helpers.on_target import TIMEOUT_S, assert_layers_equal, assert_outputs_equal, staged
from helpers.programs import program
from hil.board import load_board, without_limits
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.kernel_interface.operator_kernels import Kernel
from hil.kernels.choice import all_candidates, choose
from hil.target.open import open_target
from hil.target.target import Layout, Target
from hil.types import Board, KernelSet

BOARDS = ("m3", "m4", "m7")


@pytest.fixture(scope="module", params=BOARDS)
def board(request: pytest.FixtureRequest) -> Board:
    return without_limits(load_board(request.param))


@pytest.fixture(scope="module")
def target(board: Board) -> Iterator[Target]:
    opened = open_target(board)
    yield opened
    opened.close()


def assert_bit_equal(target: Target, graph: Graph, folder: Path, samples: int = 4) -> None:
    inputs = random_inputs(graph, samples)
    inputs[0] = -128
    assert_outputs_equal(target, make_plan(graph, target.board), folder, inputs)


@pytest.mark.parametrize("example", [tiny_conv, residual, ds_cnn, squeeze_excite, mixed])
def test_example_is_bit_equal(target: Target, tmp_path: Path, example: object) -> None:
    assert callable(example)
    assert_bit_equal(target, example(), tmp_path, samples=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("random")


# No shrinking: each attempt is a build.
AS_FOUND = (Phase.explicit, Phase.reuse, Phase.generate)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), phases=AS_FOUND)
@given(graph=graphs())
def test_random_graph_is_bit_equal(target: Target, folder: Path, graph: Graph) -> None:
    assert_bit_equal(target, graph, folder)


def awkward() -> Graph:
    """Each kernel at least once, with odd channels, odd windows and asymmetric padding."""
    b = GraphBuilder(seed=5)
    fine = {"weight_scale": 0.002, "gain": 0.4}
    x = b.input((11, 9, 3), 0.02, zero_point=-128)
    x = b.conv(x, 7, (3, 2), dilation=(2, 1), padding=Padding(3, 1, 0, 1), activation=RELU6)
    x = b.depthwise(x, 1, (3, 3), padding=Padding(1, 0, 1, 1), zero_point=-128, **fine)
    x = b.conv(x, 5, (1, 1), activation=RELU, **fine)
    x = b.depthwise(x, 1, (5, 2), padding=Padding(2, 2, 1, 0), **fine)
    x = b.add(x, b.requantize(x, zero_point=40), activation=RELU, zero_point=-90, gain=0.5)
    x = b.depthwise(x, 1, (3, 3), padding=Padding(0, 2, 0, 2), **fine)
    x = b.depthwise(x, 1, (2, 3), (1, 1), (2, 2), Padding(1, 2, 3, 2), **fine)
    x = b.depthwise(x, 3, (2, 3), (2, 1), (1, 2), Padding(1, 1, 2, 2), **fine)
    x = b.conv(x, 6, (1, 1), (1, 2), zero_point=100, **fine)
    x = b.depthwise(x, 4, (2, 2), padding=Padding(1, 0, 0, 1), **fine)
    x = b.average_pool(x, (3, 2), (2, 1), Padding(1, 1, 0, 1))
    x = b.max_pool(x, (2, 3), (1, 2), Padding(1, 0, 1, 1))
    x = b.requantize(x, b.tensors[x].scale * 0.9, zero_point=-60, activation=RELU)
    flat = b.reshape(x, (b.tensors[x].elements,))
    flat = b.fully_connected(flat, 13, weight_scale=0.4, gain=0.4)
    return b.finish(b.softmax(b.requantize(flat, b.tensors[flat].scale * 1.5)), "awkward")


def wide_copies() -> Graph:
    """Padding of int16 values."""
    b = GraphBuilder(seed=2)
    x = b.widen(b.input((5, 3, 2)))
    x = b.pad(x, (0, 1, 0, 0), (0, 0, 2, 1))
    x = b.pad(x, (0, 0, 3, 0), (0, 1, 0, 0), value=-1)
    return b.finish(b.narrow(b.conv(x, 3, (2, 2))), "wide_copies")


def awkward_copies() -> Graph:
    """Copies of every alignment, broadcasts of every kind, means along every axis."""
    b = GraphBuilder(seed=8)
    x = b.input((5, 7, 3), 0.02, zero_point=-40)
    y = b.concatenate((x, b.pad(x, (0, 2, 0, 0), (0, 1, 0, 0)), x), axis=1)
    y = b.pad(y, (0, 1, 2, 1), (0, 2, 1, 3), value=77)
    y = b.concatenate((y, b.pad(y, (0, 0, 1, 0), (0, 0, 2, 0)), y), axis=2)
    y = b.add(y, b.constant((33, 7), 0.03, 12), gain=0.8)
    y = b.mul(y, b.constant((7,), 0.05, -9))
    y = b.add(y, b.mean(y, keep=True, scale=b.tensors[y].scale / 3), subtract=True, gain=0.4)
    y = b.lookup(y, Function.LEAKY_RELU, alpha=0.3)
    z = b.mean(y, (2, 3), scale=b.tensors[y].scale / 4, zero_point=-100)
    y = b.mean(y, (2,), scale=b.tensors[y].scale / 4)
    y = b.concatenate((y, b.pad(y, (0, 0, 0), (0, 0, 1))), axis=2)
    y = b.mean(y, (2,), scale=b.tensors[y].scale)
    y = b.add(b.reshape(y, b.tensors[z].shape[1:]), z, zero_point=-120, gain=1.5)
    return b.finish(
        b.fully_connected(y, 21, RELU_N1_TO_1, weight_scale=0.003, per_channel=True),
        "awkward_copies",
    )


def awkward_operands(wide: bool) -> Graph:
    """Operands that repeat along every kind of axes, differences both ways, extremes."""
    b = GraphBuilder(seed=11)
    x = b.input((5, 7, 3), 0.02, zero_point=-40)
    x = b.conv(b.widen(x), 3, (1, 1)) if wide else x
    like = b.tensors[x].scale, b.tensors[x].zero_point, b.tensors[x].dtype
    row = b.strided_slice(x, ((0, 1, 5), (3, 1, 1), (2, -1, 3)))
    y = b.maximum(x, b.strided_slice(x, ((4, -1, 5), (6, -1, 7), (0, 1, 3))))
    y = b.minimum(b.maximum(y, b.constant((5, 1, 3), *like)), row)
    y = b.add(b.maximum(y, b.minimum(x, b.constant((7, 3) if wide else (), *like))), row, gain=0.8)
    y = b.mul(y, b.constant((1, 5, 7, 1), 0.05, like[1], like[2]), gain=0.5)
    y = b.add(y, b.constant((5, 1, 1), b.tensors[y].scale, 0, like[2]), subtract=True, reverse=True)
    part = b.strided_slice(x, ((0, 1, 5), (0, 1, 7), (1, 1, 1)))
    y = b.mul(b.add(y, part, subtract=True, reverse=True, gain=0.6), row, gain=0.5)
    return b.finish(b.narrow(y), "awkward_operands")


def awkward_movement(wide: bool) -> Graph:
    """Runs of one byte and of many, reversed, transposed, repeated and gathered."""
    b = GraphBuilder(seed=10)
    x = b.input((6, 5, 7), 0.02, zero_point=-40)
    x = b.widen(x) if wide else x
    y = b.strided_slice(x, ((4, -2, 3), (0, 1, 5), (1, 2, 3)))
    y = b.transpose(b.strided_slice(y, ((0, 1, 3), (3, -1, 4), (0, 1, 3))), (0, 3, 2, 1))
    y = b.gather(y, 1, (2, 0, 0, 1, 2))
    y = b.transpose(b.reshape(y, (5, 2, 2, 3)), (0, 2, 1, 4, 3))
    y = b.gather(b.reshape(y, (2, 15, 2)), 3, (1, 1, 0))
    y = b.broadcast_to(b.strided_slice(y, ((0, 1, 2), (1, 3, 5), (2, -1, 1))), (2, 5, 4))
    y = b.broadcast_to(b.reshape(y, (2, 1, 5, 4)), (2, 3, 5, 4))
    y = b.transpose(b.reshape(y, (2, 3, 20)), (0, 2, 1, 3))
    y = b.strided_slice(b.reshape(y, (3, 2, 20)), ((1, 1, 2), (1, -1, 2), (2, 1, 18)))
    like = (b.tensors[y].scale, b.tensors[y].zero_point, b.tensors[y].dtype)
    y = b.concatenate((b.constant((1, 2, 2, 3), *like), y, b.constant((1, 2, 2, 2), *like), y))
    y = b.pad(y, (0, 1, 0, 2), (0, 0, 1, 0))
    return b.finish(b.narrow(y), "awkward_movement")


def awkward_int16() -> Graph:
    """Each int16 kernel, with odd channels, odd windows, asymmetric padding and many products."""
    b = GraphBuilder(seed=9)
    x = b.widen(b.input((11, 9, 7), 0.02, zero_point=-20))
    x = b.conv(x, 7, (3, 2), dilation=(2, 2), padding=Padding(3, 1, 1, 1), activation=RELU)
    y = b.depthwise(x, 1, (5, 2), padding=Padding(2, 2, 1, 0), weight_scale=0.002)
    x = b.add(b.requantize(x), y, subtract=True)
    x = b.depthwise(x, 3, (2, 3), (2, 1), (1, 2), Padding(1, 1, 2, 2), weight_bits=4)
    x = b.requantize(b.narrow(x, 128.0), zero_point=9)
    x = b.max_pool(b.widen(x, 6), (2, 3), (1, 2), Padding(1, 0, 1, 1))
    x = b.conv(x, 9, (2, 3), (1, 2), padding=Padding(1, 0, 0, 2), weight_bits=4)
    x = b.average_pool(x, (3, 2), (2, 1), Padding(1, 1, 0, 1))
    x = b.conv(x, 90, (1, 1), (1, 2))
    x = b.fully_connected(b.reshape(x, (b.tensors[x].elements,)), 13, per_channel=True)
    x = b.fully_connected(x, 6, weight_bits=4)
    return b.finish(b.narrow(x), "awkward_int16")


def awkward_groups() -> Graph:
    """Convolutions in groups and fully connected layers on several rows, on int8 and int16."""
    b = GraphBuilder(seed=11)
    fine = {"weight_scale": 0.02, "gain": 0.7}
    x = b.input((11, 9, 6), 0.02, zero_point=-20)
    x = b.conv(x, 10, (3, 2), dilation=(2, 1), padding=Padding(3, 1, 0, 1), groups=2, **fine)
    x = b.conv(x, 15, (2, 3), (2, 1), padding=Padding(1, 0, 2, 2), groups=5, weight_bits=4, **fine)
    x = b.fully_connected(x, 13, by_row=True, **fine)
    x = b.fully_connected(x, 12, by_row=True, per_channel=True, weight_bits=4, **fine)
    x = b.widen(x)
    x = b.conv(x, 18, (3, 2), dilation=(2, 2), padding=Padding(3, 1, 1, 1), groups=3)
    x = b.conv(x, 9, (2, 3), (1, 2), padding=Padding(1, 0, 0, 2), groups=9, weight_bits=4)
    x = b.fully_connected(x, 7, by_row=True, per_channel=True)
    return b.finish(b.narrow(x), "awkward_groups")


def assert_every_layer_is_bit_equal(
    target: Target,
    graph: Graph,
    tmp_path: Path,
    inputs: Int8Array | None = None,
    *,
    kernel_set: KernelSet = "tuned",
    kernels: Sequence[Kernel] | None = None,
) -> set[str]:
    """Compare all layers and check that none is saturated; returns the kernels' names.

    `inputs` are one sample; if there is none, a random one is run.
    """
    inputs = random_inputs(graph, 1) if inputs is None else inputs
    plan = make_plan(graph, target.board, "flash", kernel_set, kernels=kernels)
    expected = assert_layers_equal(target, plan, tmp_path, inputs)
    # A saturated layer would prove little.
    assert all(len(np.unique(v)) > min(5, v.size // 2) for v in expected.values())
    return {step.kernel for step in plan.steps}


def test_every_layer_is_bit_equal_where_it_ends(target: Target, tmp_path: Path) -> None:
    assert_every_layer_is_bit_equal(target, awkward(), tmp_path / "tuned")
    theirs = tmp_path / "cmsis-nn"
    kernels = assert_every_layer_is_bit_equal(target, awkward(), theirs, kernel_set="cmsis-nn")
    assert kernels >= {
        "arm_convolve_1x1_s8",
        "arm_convolve_1x1_s8_fast",
        "arm_convolve_s8",
        "arm_depthwise_conv_3x3_s8",
        "arm_depthwise_conv_s8",
        "depthwise_s8",
        "arm_avgpool_s8",
        "arm_max_pool_s8",
        "arm_fully_connected_s8",
        "add_s8",
        "requantize_s8",
        "softmax_s8",
    }
    assert ("arm_depthwise_conv_s8_opt" in kernels) == ("dsp" in target.board.features)


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("kernel_set", ["tuned", "cmsis-nn"])
def test_kernels_that_were_not_chosen_are_bit_equal_too(
    target: Target, tmp_path: Path, kernel_set: KernelSet, rank: int
) -> None:
    """Each layer on its candidate of this rank or, where it has fewer, on its last."""
    graph = awkward()
    known = [all_candidates(graph, op, target.board, "flash", kernel_set) for op in graph.ops]
    later = [kernels[min(rank, len(kernels) - 1)] for kernels in known]
    names = assert_every_layer_is_bit_equal(target, graph, tmp_path, kernels=later)
    assert names == {kernel.name for kernel in later}
    assert "arm_max_pool_s8" in names
    if kernel_set == "cmsis-nn":
        assert "arm_convolve_1x1_s8" not in names
        assert names >= {"arm_convolve_s8", "arm_convolve_1x1_s8_fast"}
        assert "arm_depthwise_conv_3x3_s8" not in names


def test_copies_broadcasts_and_means_are_bit_equal(target: Target, tmp_path: Path) -> None:
    assert_every_layer_is_bit_equal(target, wide_copies(), tmp_path / "wide")
    kernels = assert_every_layer_is_bit_equal(target, awkward_copies(), tmp_path / "tuned")
    assert "add_s8" not in kernels
    kernels = assert_every_layer_is_bit_equal(
        target, awkward_copies(), tmp_path, kernel_set="cmsis-nn"
    )
    assert kernels >= {"add_s8", "concatenate", "lookup_s8", "mean_s8", "mul_s8", "pad_s8"}


@pytest.mark.parametrize("wide", [False, True])
def test_operands_that_repeat_are_bit_equal(target: Target, tmp_path: Path, wide: bool) -> None:
    graph = awkward_operands(wide)
    assert_every_layer_is_bit_equal(target, graph, tmp_path / "tuned")
    kernels = assert_every_layer_is_bit_equal(target, graph, tmp_path, kernel_set="cmsis-nn")
    names = ("add", "mul", "minimum", "maximum")
    assert kernels >= {f"{name}_{'s16' if wide else 's8'}" for name in names}


@pytest.mark.parametrize("wide", [False, True])
def test_movements_are_bit_equal(target: Target, tmp_path: Path, wide: bool) -> None:
    kernels = assert_every_layer_is_bit_equal(target, awkward_movement(wide), tmp_path)
    assert kernels >= {"rearrange", "gather"}


def test_every_layer_on_int16_is_bit_equal(target: Target, tmp_path: Path) -> None:
    graph = awkward_int16()
    assert assert_every_layer_is_bit_equal(target, graph, tmp_path) >= {
        "add_s16",
        "average_pool_s16",
        "convolve_s16",
        "depthwise_s16",
        "max_pool_s16",
        "requantize_s16",
        "requantize_s16_s8",
        "requantize_s8_s16",
    }


def test_groups_and_rows_are_bit_equal(target: Target, tmp_path: Path) -> None:
    assert_every_layer_is_bit_equal(target, awkward_groups(), tmp_path / "tuned")
    kernels = assert_every_layer_is_bit_equal(
        target, awkward_groups(), tmp_path, kernel_set="cmsis-nn"
    )
    assert kernels >= {"convolve_groups_s8", "convolve_s16", "arm_fully_connected_s8"}


@pytest.mark.parametrize("scale", [1e-3, 0.02, 0.2])
def test_a_softmax_over_many_classes_is_bit_equal(
    target: Target, tmp_path: Path, scale: float
) -> None:
    """With the smallest scale the exponentials add up to more than TFLite's softmax defines."""
    b = GraphBuilder()
    assert_bit_equal(target, b.finish(b.softmax(b.input((2, 1000), scale))), tmp_path)


@pytest.mark.parametrize("sign", [1, -1])
def test_sums_on_int16_may_leave_int32(target: Target, tmp_path: Path, sign: int) -> None:
    b = GraphBuilder()
    x = b.conv(b.widen(b.input((1, 1, 1500), zero_point=0)), 6, (1, 1), gain=50.0)
    graph = b.finish(b.narrow(x))
    op = graph.ops[1]
    assert isinstance(op, Conv2D)
    tensors = list(graph.tensors)
    weights = np.full(tensors[op.weights].shape, 127 * sign, np.int8)
    tensors[op.weights] = replace(tensors[op.weights], data=weights)
    graph = replace(graph, tensors=tuple(tensors))
    largest = np.full((1, 1, 1, 1500), -128, np.int8)
    assert abs(int(accumulators(graph, op, largest.astype(np.int16) * 128).max())) > 2**31
    values = reference.trace(graph, largest)[op.output]
    assert 0 < np.abs(values.astype(int)).max() < 2**15 - 1

    image = build(render(make_plan(graph, target.board), target.board), target.board, tmp_path)
    layout = staged(target, image, graph, largest)
    target.run(layout.request, TIMEOUT_S)
    outputs = target.read(layout.outputs.origin, layout.outputs.length_bytes)
    assert outputs == reference.run(graph, largest).tobytes()


# CMSIS-NN's own functions for scratch sizes, compiled for the core.
BUFFER_SIZES = {
    "arm_convolve_s8": "arm_convolve_s8_get_buffer_size(&input, &filter)",
    "arm_convolve_1_x_n_s8": "arm_convolve_1_x_n_s8_get_buffer_size(&input, &filter)",
    "arm_convolve_1x1_s8_fast": "arm_convolve_1x1_s8_fast_get_buffer_size(&input)",
    "arm_depthwise_conv_s8_opt": "arm_depthwise_conv_s8_opt_get_buffer_size(&input, &filter)",
    "arm_avgpool_s8": "arm_avgpool_s8_get_buffer_size(output.w, input.c)",
    "arm_fully_connected_s8": "arm_fully_connected_s8_get_buffer_size(&filter)",
}


def scratch_graphs() -> list[Graph]:
    b = GraphBuilder()
    x = b.input((1, 12, 5))
    b.conv(x, 3, (1, 3), padding=Padding(0, 0, 1, 1))
    b.conv(x, 3, (1, 2))
    b.conv(x, 3, (1, 1))
    b.depthwise(x, 1, (1, 3))
    b.average_pool(x, (1, 4))
    graphs = [b.finish(0)]
    b = GraphBuilder()
    x = b.input((6, 7, 130))
    b.conv(x, 9, (3, 3))
    b.depthwise(x, 1, (5, 3))
    b.depthwise(x, 1, (4, 4), padding=Padding(1, 2, 1, 2))
    b.average_pool(x, (6, 7))
    b.fully_connected(x, 4)
    return [*graphs, b.finish(0)]


@pytest.mark.parametrize("name", [*BOARDS, "m0", "m33", "m55"])
def test_scratch_is_what_the_kernels_ask_for(name: str, tmp_path: Path) -> None:
    board = load_board(name)
    expected, lines = [], []
    for graph in scratch_graphs():
        for op in graph.ops:
            kernel = choose(graph, op, board, kernel_set="cmsis-nn")
            if kernel.name not in BUFFER_SIZES:
                assert kernel.scratch_bytes == 0
                continue
            source, out = graph.input_tensor, graph.tensors[op.output]
            window = (1, 1, 1, 1)
            if isinstance(op, Conv2D | DepthwiseConv2D):
                window = graph.tensors[op.weights].shape
            elif isinstance(op, AveragePool2D):
                window = (1, *op.filter, 1)
            shapes = (source.shape, window, (1, 1, *out.shape)[-4:])
            dims = ", ".join(
                f"{name} = {{{', '.join(map(str, shape))}}}"
                for name, shape in zip(("input", "filter", "output"), shapes, strict=True)
            )
            lines.append(
                f"{{ const cmsis_nn_dims {dims}; (void)input; (void)filter; (void)output; "
                f"sizes[{len(expected)}] = {BUFFER_SIZES[kernel.name]}; }}"
            )
            expected.append(kernel.scratch_bytes)
    size = 4 * len(expected)
    body = f"int32_t *sizes = (int32_t *)(model_arena + {256 - size});\n" + "\n".join(lines)
    made = program(
        board,
        body,
        declarations='#include "arm_nnfunctions.h"',
        output_bytes=size,
        arena_bytes=256,
    )
    image = build(made, board, tmp_path)
    layout = Layout.within(image.staging, 1, 4, size)
    places = (layout.inputs, layout.outputs, layout.counts)
    inputs, outputs, counts = (place.origin for place in places)
    with Machine(image, tmp_path) as machine:
        reply = machine.ask(RUN, 1, inputs, 0, outputs, counts, 0)
        assert (reply.type, reply.words[0]) == (RUN_REPLY, 0)
        got = struct.unpack(f"<{len(expected)}i", machine.read(outputs, size))
    assert list(got) == expected
    assert any(expected)


def test_program_has_only_the_kernels_it_calls(target: Target, tmp_path: Path) -> None:
    graph = every_op()
    pooled = GraphBuilder()
    pooled.max_pool(pooled.input((4, 4, 2)), (2, 2))
    images = [
        build(render(make_plan(g, target.board), target.board), target.board, tmp_path / name)
        for name, g in (("all", graph), ("pool", pooled.finish(1)))
    ]
    everything, one = (image.flash.parts["kernels"] for image in images)
    assert 0 < one < everything / 4
