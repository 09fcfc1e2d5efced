"""The four MLPerf Tiny reference models on five emulated cores are bit-exact.

The boards' limits stand for real parts; here they are lifted, so that every model runs on every
core. The device must equal the reference, and the reference the oracles on the original file.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compress.errors import OverBudget
from compress.integer import reference
from compress.tflite.importer import import_tflite
from compress.types import Graph, Int8Array, Samples
from helpers.checkout import MLPERF_TINY
from helpers.oracles import assert_oracles_compute, needs_oracle
from hil.board import load_board
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.measure.oracle_check import check_oracle
from hil.target.open import open_target
from hil.target.target import Layout, Target
from hil.types import Board, Image

FOLDER = MLPERF_TINY
MODELS = ("kws_ref_model", "pretrainedResnet_quant", "vww_96_int8", "ad01_int8")
BOARDS = ("m3", "m4", "m7", "m33", "m55")
TIMEOUT_S = 60.0


def file_of(model: str) -> bytes:
    path = FOLDER / f"{model}.tflite"
    if not path.exists():
        pytest.skip(f"needs the MLPerf Tiny models in {FOLDER}")
    return path.read_bytes()


@functools.cache
def graph_of(model: str) -> Graph:
    return import_tflite(file_of(model), model)


def inputs_for(graph: Graph) -> Int8Array:
    """Inputs: noise, the zero point, a ramp, and a smooth pattern with a little noise.

    Noise alone would saturate most layers and hide errors.
    """
    rng = np.random.default_rng(0)
    tensor = graph.input_tensor
    shape, count = tensor.shape[1:], tensor.elements
    places = np.arange(count).reshape(shape)
    ramp = places * 255 // count - 128
    waves = 60 * np.sin(places / 7.3) + 40 * np.cos(places / 97.1) + rng.normal(0, 3, shape)
    noise = rng.integers(-128, 128, shape)
    samples = [noise, np.full(shape, tensor.zero_point), ramp, waves]
    return np.stack(samples).clip(-128, 127).astype(np.int8)


@functools.cache
def expected_of(model: str) -> Int8Array:
    return reference.run(graph_of(model), inputs_for(graph_of(model)))


@functools.cache
def board_of(name: str) -> Board:
    """The board with the whole memory of the emulated machine as its limits."""
    board = load_board(name)
    flash_bytes, ram_bytes = board.flash.length_bytes, board.ram.length_bytes
    return replace(board, flash_limit_bytes=flash_bytes, ram_limit_bytes=ram_bytes)


def built(model: str, board: Board, folder: Path) -> Image:
    return build(render(make_plan(graph_of(model), board), board), board, folder)


@pytest.fixture(scope="module", params=BOARDS)
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    opened = open_target(board_of(request.param))
    yield opened
    opened.close()


@needs_oracle
@pytest.mark.parametrize("model", MODELS)
def test_reference_equals_the_oracle(model: str) -> None:
    expected, inputs = expected_of(model), inputs_for(graph_of(model))
    assert_oracles_compute(file_of(model), graph_of(model), inputs)
    samples = Samples(inputs, np.zeros(len(inputs), np.int64), expected)
    assert check_oracle(file_of(model), samples).oracles
    assert len(np.unique(expected, axis=0)) > 2  # the inputs make a difference


@pytest.mark.parametrize("model", MODELS)
def test_device_equals_the_reference(target: Target, model: str, tmp_path: Path) -> None:
    graph, inputs = graph_of(model), inputs_for(graph_of(model))
    image = built(model, target.board, tmp_path)
    target.load(image)
    sizes = graph.input_tensor.size_bytes, graph.output_tensor.size_bytes
    layout = Layout.within(image.staging, len(inputs), *sizes)
    target.write(layout.inputs.origin, inputs.tobytes())
    target.write(layout.labels.origin, bytes(layout.labels.length_bytes))
    target.run(layout.request, TIMEOUT_S)
    outputs = target.read(layout.outputs.origin, layout.outputs.length_bytes)
    expected = expected_of(model)
    np.testing.assert_array_equal(np.frombuffer(outputs, np.int8).reshape(expected.shape), expected)


def test_a_model_too_large_says_by_how_much_in_which_region(tmp_path: Path) -> None:
    small, large = replace(load_board("m3"), flash_limit_bytes=65_536), board_of("m3")
    image = built("vww_96_int8", large, tmp_path / "large")
    with pytest.raises(OverBudget) as refusal:
        built("vww_96_int8", small, tmp_path / "small")
    for region, used, limit in (
        ("flash", image.flash.total, small.flash_limit_bytes),
        ("ram", image.ram.total, small.ram_limit_bytes),
    ):
        excess = f"{region} of m3: needs {used} bytes, {used - limit} more than the {limit} allowed"
        assert excess in str(refusal.value)
