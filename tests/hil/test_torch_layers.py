"""Networks of layers that are lowered from torch, layer by layer on emulated cores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from test_codegen import assert_every_layer_is_bit_equal

from compress.genome import Quantize
from compress.quantization.lower import lower, quantize_input
from helpers.forms import made
from hil.board import load_board, without_limits
from hil.target.open import open_target
from hil.target.target import Target

BOARDS = ("m0", "m4", "m55")
# Together they have each operator that a torch layer becomes besides convolutions and pools.
NETS = (
    "GELU", "PReLU", "maximum with constants", "minimum and maximum", "ConvTranspose2d(3, 2, 1, 1)",
    "F.interpolate, nearest, to a size", "Upsample, bilinear, align_corners", "PixelShuffle",
    "slices of positions", "flip and gather", "sum, amax and amin", "MLP-Mixer", "attention",
)  # fmt: skip


@pytest.fixture(scope="module", params=BOARDS)
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    opened = open_target(without_limits(load_board(request.param)))
    yield opened
    opened.close()


@pytest.mark.parametrize("name", NETS)
def test_every_layer_is_bit_equal(target: Target, tmp_path: Path, name: str) -> None:
    module, x = made(name)
    graph = lower(module, Quantize(), x.numpy(), "net")
    assert_every_layer_is_bit_equal(target, graph, tmp_path, quantize_input(graph, x.numpy()[:1]))
