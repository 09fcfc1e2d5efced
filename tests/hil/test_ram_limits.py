"""A candidate that needs too much RAM in its fastest form is measured in one that fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compress.ops import Padding
from helpers.graph_builder import GraphBuilder
from helpers.trials import PROVENANCE
from hil.benchmark.samples import random_samples
from hil.board import load_board
from hil.codegen.estimate import estimate
from hil.measure.measure import BoardRunner
from hil.target.open import open_target
from hil.trial.candidate import Context, Stopwatch, run_on_board

NO_ORIGINAL: Any = None


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    board = load_board("m4")
    with BoardRunner(board, open_target) as runner:
        yield Context(NO_ORIGINAL, board, runner, tmp_path, PROVENANCE)


def test_the_fastest_plan_that_fits_is_measured(context: Context) -> None:
    b = GraphBuilder(seed=1)
    x = b.conv(b.input((24, 24, 3)), 16, stride=(2, 2), padding=Padding(1, 1, 1, 1))
    x = b.conv(b.depthwise(x, padding=Padding(1, 1, 1, 1)), 24, (1, 1))
    graph = b.finish(b.average_pool(x, (12, 12)))
    samples = random_samples(graph, 1)

    def measured(ram_bytes: int | None) -> tuple[int, int, int]:
        """Bytes of the arena as planned, and of all RAM and cycles as measured."""
        limited = replace(context, ram_bytes=ram_bytes)
        plan, _, found = run_on_board(limited, 1, graph, samples, Stopwatch())
        assert found.ram.parts["arena"] == plan.arena_bytes
        return plan.arena_bytes, found.ram.total, found.model_cycles or found.count

    arena_bytes, ram_bytes, cycles = measured(None)
    # It is what lies beside the arena that does not fit: measured, then planned again.
    for limit in (ram_bytes - 1, arena_bytes - 1):
        smaller_arena_bytes, smaller_bytes, more_cycles = measured(limit)
        assert smaller_bytes <= limit
        assert smaller_arena_bytes < arena_bytes
        assert more_cycles > cycles
    room = replace(context, ram_bytes=arena_bytes - 1).arena_limit_bytes
    assert estimate(graph, context.board, "flash", room).arena_bytes <= room
    assert measured(300)[1] > 300  # none fits: it is known by how much
