"""Smoke test: one layer, built, loaded, run and compared bit for bit with the reference."""

from __future__ import annotations

from pathlib import Path

from compress.scratch import scratch_folder
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.measure.measure import measure
from hil.measure.smoke_network import smoke_graph, smoke_samples
from hil.target.open import open_target
from hil.types import Board, Image, Measurement, Plan, Sizes


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
