"""Convolutions over rings of rows, patches and pixels equal the reference bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_codegen import assert_every_layer_is_bit_equal

from compress.integer import reference
from compress.ops import Padding
from compress.types import Graph
from helpers.graph_builder import GraphBuilder, same_padding
from helpers.on_target import TIMEOUT_S, assert_layers_equal, staged
from hil.board import load_board, without_limits
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.kernel_interface.limits import round_up
from hil.kernels.choice import candidates
from hil.target.open import open_target
from hil.target.target import Target
from hil.types import Memory

BOARDS = ("m4", "m7", "m33")


@pytest.fixture(scope="module", params=BOARDS)
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    opened = open_target(without_limits(load_board(request.param)))
    yield opened
    opened.close()


def convolutions(seed: int, channels: int, count: int) -> Graph:
    """Convolutions of random shapes of one input; the last is of an even stride and odd padding."""
    b = GraphBuilder(seed=seed)
    rng = np.random.default_rng(seed)
    height, width = (int(size) for size in rng.integers(5, 12, 2))
    x = b.input((height, width, channels), zero_point=int(rng.integers(-128, 128)))
    shapes = []
    for _ in range(count):
        kernel = (int(rng.integers(1, 5)), int(rng.integers(1, 5)))
        stride = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
        shapes.append((kernel, stride, Padding(*(int(n) for n in rng.integers(0, 3, 4)))))
    shapes.append(((3, 3), (2, 2), Padding(1, 0, 1, 0)))
    for kernel, stride, padding in shapes:
        units = int(rng.integers(4, 14))
        out = b.conv(x, units, kernel, stride, padding=padding, gain=float(rng.uniform(0.5, 2)))
    return b.finish(out, f"convolutions_of_{channels}")


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7, 12])
def test_random_convolutions_are_bit_equal(target: Target, tmp_path: Path, channels: int) -> None:
    kernels = assert_every_layer_is_bit_equal(target, convolutions(channels, channels, 7), tmp_path)
    names = {name.removesuffix("_ram") for name in kernels}
    assert "conv_rows" in names
    assert names <= {"conv_rows", "conv_patches", "conv_pointwise"}


def first_layers() -> Graph:
    """Many channels of few: patches, of pixels of several rows, odd in number."""
    b = GraphBuilder(seed=3)
    x = b.input((13, 10, 1), zero_point=83)
    for kernel, stride in (((10, 4), (2, 2)), ((5, 3), (1, 1)), ((4, 4), (3, 1))):
        vertical = same_padding(13, kernel[0], stride[0])
        horizontal = same_padding(10, kernel[1], stride[1])
        b.conv(x, 67, kernel, stride, padding=Padding(*vertical, *horizontal))
    out = b.conv(x, 66, (13, 10))  # one pixel
    return b.finish(out, "first_layers")


@pytest.mark.parametrize("value", [-128, 127, None])
def test_patches_are_bit_equal(target: Target, tmp_path: Path, value: int | None) -> None:
    graph = first_layers()
    inputs = np.full((1, 13, 10, 1), -128 if value is None else value, np.int8)
    if value is None:
        inputs[:, ::2, ::3] = 127
    kernels = every_kernel(target, graph, tmp_path, inputs)
    assert "conv_patches" in {name.removesuffix("_ram") for name in kernels}


def every_kernel(
    target: Target, graph: Graph, folder: Path, inputs: np.ndarray, saves: Memory = "flash"
) -> set[str]:
    """Compare all layers; as `assert_every_layer_is_bit_equal`, but they may saturate."""
    plan = make_plan(graph, target.board, saves)
    assert_layers_equal(target, plan, folder, inputs)
    return {step.kernel for step in plan.steps}


def tiles() -> Graph:
    """3x3 filters of stride 1 of 16 to 112 channels; odd numbers of rows, columns and units."""
    b = GraphBuilder(seed=8)
    x = b.input((7, 9, 16), zero_point=100)
    for units, padding in (
        (48, (1, 1, 1, 1)),
        (112, (0, 1, 2, 2)),
        (16, (1, 2, 0, 0)),
        (7, (2, 1, 0, 3)),
    ):
        x = b.conv(x, units, padding=Padding(*padding), zero_point=-10)
    return b.finish(x, "tiles")


@pytest.mark.parametrize("value", [-128, 127, None])
def test_winograd_is_bit_equal(target: Target, tmp_path: Path, value: int | None) -> None:
    graph = tiles()
    inputs = np.random.default_rng(0).integers(-128, 128, (1, 7, 9, 16)).astype(np.int8)
    if value is not None:
        inputs[:] = value
    assert every_kernel(target, graph, tmp_path, inputs, "nothing") == {"conv_winograd"}


def pixels() -> Graph:
    """1x1: numbers of channels that are no multiples of 4, numbers of pixels that are odd."""
    b = GraphBuilder(seed=4)
    x = b.input((5, 9, 6), zero_point=-100)
    for units in (5, 13, 7, 27, 33, 10):
        x = b.conv(x, units, (1, 1), zero_point=-10)
    return b.finish(x, "pixels")


def on_its_own(size: tuple[int, int, int], units: int, **options: object) -> Graph:
    b = GraphBuilder(seed=6)
    return b.finish(b.conv(b.input(size, zero_point=-128), units, **options), "on_its_own")  # type: ignore[arg-type]


ONE_LAYER = (
    on_its_own((9, 8, 8), 8, kernel=(3, 3), padding=Padding(1, 1, 1, 1)),
    on_its_own((9, 8, 4), 13, kernel=(3, 2), padding=Padding(2, 0, 1, 0)),
    on_its_own((9, 7, 3), 21, kernel=(4, 1), stride=(2, 1)),
    on_its_own((9, 7, 1), 64, kernel=(5, 4), stride=(2, 2), padding=Padding(1, 2, 1, 1)),
    on_its_own((8, 9, 12), 5, kernel=(1, 1), stride=(2, 2)),
    on_its_own((8, 9, 7), 11, kernel=(1, 1)),
    on_its_own((10, 4, 8), 9, kernel=(2, 2), stride=(3, 3)),
    on_its_own((5, 7, 16), 7, kernel=(3, 3), padding=Padding(1, 1, 1, 1)),
    on_its_own((6, 3, 32), 12, kernel=(3, 3), padding=Padding(2, 0, 0, 1)),
)


@pytest.mark.parametrize("index", range(len(ONE_LAYER)))
def test_the_output_may_lie_over_the_input(target: Target, tmp_path: Path, index: int) -> None:
    """With each kernel, at exactly its lead, and between bytes that no kernel may change."""
    if target.board.core == "cortex-m33":
        pytest.skip("runs what Cortex-M4 does")
    graph, board = ONE_LAYER[index], target.board
    op = graph.ops[0]
    inputs = np.random.default_rng(index).integers(-128, 128, graph.input_tensor.shape, np.int8)
    expected = reference.run(graph, inputs)
    known = [k for k in candidates(graph, op, board, "nothing") if k.lead_bytes is not None]
    # Of each name the fastest and, if there is another, the one with least scratch.
    ends = [*{k.name: k for k in known}.values(), *{k.name: k for k in reversed(known)}.values()]
    kernels = tuple(dict.fromkeys(ends))
    assert kernels
    for number, kernel in enumerate(kernels):
        plan = make_plan(graph, board, kernels=[kernel])
        canary = 64
        lead = round_up(kernel.lead_bytes or 0, 4)
        size_in, size_out = graph.input_tensor.size_bytes, graph.output_tensor.size_bytes
        end = canary + round_up(max(size_out, lead + size_in), 4)
        (step,) = plan.steps
        assert step.scratch is not None
        scratch_bytes = step.scratch.size_bytes
        plan = replace(
            plan,
            tensors={
                op.input: replace(plan.tensors[op.input], offset_bytes=canary + lead),
                op.output: replace(plan.tensors[op.output], offset_bytes=canary),
            },
            steps=(replace(step, scratch=replace(step.scratch, offset_bytes=end + canary)),),
            arena_bytes=end + 2 * canary + round_up(scratch_bytes, 4),
        )
        image = build(render(plan, board), board, tmp_path / str(number))
        layout = staged(target, image, graph, inputs)
        fences = [0, end, end + canary + round_up(scratch_bytes, 4)]
        for fence in fences:
            target.write(image.arena_address + fence, bytes([0xA5] * canary))
        target.run(layout.request, TIMEOUT_S)
        outputs = target.read(layout.outputs.origin, layout.outputs.length_bytes)
        got = np.frombuffer(outputs, np.int8).reshape(expected.shape)
        np.testing.assert_array_equal(got, expected, kernel.name)
        for fence in fences:
            after = target.read(image.arena_address + fence, canary)
            assert after == bytes([0xA5] * canary), (kernel, fence)


def test_pixels_of_any_number_of_channels_are_bit_equal(target: Target, tmp_path: Path) -> None:
    kernels = assert_every_layer_is_bit_equal(target, pixels(), tmp_path)
    assert "conv_pointwise" in {name.removesuffix("_ram") for name in kernels}
