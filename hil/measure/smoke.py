"""Smoke test: one layer, built, loaded, run and compared bit for bit with the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from compress.integer import reference
from compress.ops import FullyConnected
from compress.scratch import scratch_folder
from compress.types import Graph, Samples, Tensor
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.measure.measure import measure
from hil.target.open import open_target
from hil.types import Board, Image, Measurement, Plan, Sizes

_INPUTS, _UNITS, _SAMPLES = 16, 4, 8


def smoke_graph() -> Graph:
    """A fully connected layer of 16 inputs and 4 units, with fixed pseudorandom constants."""
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (_UNITS, _INPUTS), dtype=np.int8)
    bias = rng.integers(-500, 500, (_UNITS,), dtype=np.int32)
    tensors = (
        Tensor("input", (1, _INPUTS), "int8", (0.05,), -3),
        Tensor("weights", weights.shape, "int8", (0.01,), data=weights),
        Tensor("bias", bias.shape, "int32", (0.05 * 0.01,), data=bias),
        Tensor("output", (1, _UNITS), "int8", (0.125,), 4),
    )
    layer = FullyConnected("smoke", input=0, weights=1, bias=2, output=3)
    return Graph("smoke", tensors, (layer,), inputs=(0,), outputs=(3,))


def smoke_samples(graph: Graph) -> Samples:
    """Eight pseudorandom inputs and the reference's outputs."""
    inputs = np.random.default_rng(1).integers(-128, 128, (_SAMPLES, _INPUTS), dtype=np.int8)
    outputs = reference.run(graph, inputs)
    return Samples(inputs, np.zeros(_SAMPLES, np.int64), outputs)


def smoke_build(board: Board) -> Sizes:
    """Build the smoke test; returns its flash bytes by part. Raises the errors of building."""
    with scratch_folder() as folder:
        return _build(board, folder)[0].flash


def smoke_test(board: Board) -> Measurement:
    """Measure the smoke test: exercises compiler, probe or emulator, serial port and counter.

    It writes the flash of a real board. No retries; raises the errors of building and measuring.
    """
    with scratch_folder() as folder:
        image, plan = _build(board, folder)
        target = open_target(board)
        try:
            return measure(target, image, plan, smoke_samples(plan.graph))
        finally:
            target.close()


def _build(board: Board, folder: Path) -> tuple[Image, Plan]:
    plan = make_plan(smoke_graph(), board)
    return build(render(plan, board), board, folder), plan
