"""`hil report --layers`: the layers of stored networks, counted and timed on the board."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from compress.tflite.exporter import export_tflite
from helpers.graph_examples import tiny_conv
from helpers.reports import SMALL
from hil.benchmark.samples import random_samples
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.measure.measure import BoardRunner
from hil.networks.layer_counts import count_layers, read_counts
from hil.networks.planned_network import PlannedNetwork, planned_network
from hil.store.run_folder import save_network
from hil.target.open import open_target
from hil.types import Board

pytestmark = pytest.mark.usefixtures("emulated", "watchdog")


def test_layers_add_up_to_the_network(board: Board, tmp_path: Path) -> None:
    """Beside the whole network's count only the calls around the layers are left."""
    graph = tiny_conv()
    save_network(tmp_path, SMALL.number, export_tflite(graph))
    count_layers(tmp_path, (SMALL, replace(SMALL, number=99)), board)
    (layers,) = read_counts(tmp_path).values()  # of trial 99 there is no network
    plan = make_plan(graph, board)
    image = build(render(plan, board), board, tmp_path / "built")
    with BoardRunner(board, open_target) as runner:
        whole = runner.measure(image, plan, random_samples(graph, 4))
    assert [one.name for one in layers] == [op.name for op in graph.ops]
    assert 0.9 * whole.count < sum(one.count or 0 for one in layers) <= whole.count

    found = planned_network(tmp_path, SMALL, board)
    assert isinstance(found, PlannedNetwork)
    first = found.layers[0]
    assert first.count == layers[0].count
    assert first.kernel_cost
    assert all("\N{NO-BREAK SPACE}" in text for text in first.beaten)
