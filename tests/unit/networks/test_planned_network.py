"""Layers and arena on the page are those of the plan that the stored network gives again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from compress.errors import UserError
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.types import Graph
from helpers.graph_examples import residual, tiny_conv
from helpers.graph_variants import with_weights
from helpers.reports import BASE, SMALL, make
from hil.board import load_board
from hil.codegen.estimate import layer_bytes
from hil.codegen.plan import make_plan
from hil.figures import LayerFigures
from hil.kernels.choice import all_candidates
from hil.networks.layer_counts import read_counts
from hil.networks.layer_rows import layer_rows
from hil.networks.planned_network import PlannedNetwork, planned_network
from hil.report.caveats import caveats
from hil.store.run_folder import network_path, save_network
from hil.types import Sizes, Trial

M4 = load_board("m4")


def stored(folder: Path, graph: Graph, trial: Trial) -> PlannedNetwork:
    save_network(folder, trial.number, export_tflite(graph))
    found = planned_network(folder, trial, M4)
    assert isinstance(found, PlannedNetwork)
    return found


@pytest.mark.parametrize("graph", [tiny_conv(), residual(), with_weights(residual(), 4, 0.6)])
def test_buffers_are_those_of_the_arena(tmp_path: Path, graph: Graph) -> None:
    """While each layer runs, the bytes in boxes are those that the plan says it needs."""
    found = stored(tmp_path, graph, SMALL)
    plan = make_plan(graph, M4)
    assert found.arena_bytes == plan.arena_bytes
    top = max(one.offset_bytes + one.size_bytes for one in found.buffers)
    assert 0 <= found.arena_bytes - top < 4  # rounded up to words
    for index, (_, live_bytes) in enumerate(layer_bytes(plan)):
        covered = {
            byte
            for one in found.live_at(index)
            for byte in range(one.offset_bytes, one.offset_bytes + one.size_bytes)
        }
        assert len(covered) == live_bytes == found.layers[index].live_bytes


def test_a_layer_names_its_kernel_and_those_that_it_beat(tmp_path: Path) -> None:
    found = stored(tmp_path, tiny_conv(), SMALL)
    graph = import_tflite(network_path(tmp_path, SMALL.number).read_bytes(), "tiny")
    layer, kernels = found.layers[0], all_candidates(graph, graph.ops[0], M4, "flash")
    assert (layer.op, layer.bits, layer.shape) == ("Conv2D", 8, (4, 3, 8))
    assert layer.kernel == kernels[0].name
    beaten = {text.split(" with ")[0] for text in layer.beaten}
    assert beaten == {kernel.name for kernel in kernels[1:]}
    assert len(layer.beaten) == len(set(layer.beaten))


def test_counts_come_from_the_board(tmp_path: Path) -> None:
    assert SMALL.measurement is not None
    names = [layer.name for layer in stored(tmp_path, tiny_conv(), SMALL).layers]
    figures = tuple(LayerFigures(name, 1, 1, 0, 100 + i, 0, 0) for i, name in enumerate(names))
    counted = replace(SMALL, measurement=replace(SMALL.measurement, layers=figures))
    found = stored(tmp_path, tiny_conv(), counted)
    assert [layer.count for layer in found.layers] == [100 + i for i in range(len(names))]
    assert [layer.count for layer in stored(tmp_path, tiny_conv(), SMALL).layers] == [None] * 3


def test_another_plan_than_the_measured_one_is_told(tmp_path: Path) -> None:
    assert SMALL.measurement is not None
    found = stored(tmp_path, tiny_conv(), SMALL)
    assert not found.is_as_measured  # the synthetic trial has another arena
    summary = make(tmp_path)
    told = " ".join(caveats(summary, (found,)))
    assert "Trial 3 was measured with an arena of 3,000 bytes" in told
    ram = Sizes({"arena": found.arena_bytes, "stack": 500})
    same = replace(SMALL, measurement=replace(SMALL.measurement, ram=ram))
    assert "arena" not in " ".join(caveats(summary, (stored(tmp_path, tiny_conv(), same),)))


def test_a_network_that_is_not_there_says_why(tmp_path: Path) -> None:
    assert "came from a table" in str(planned_network(tmp_path, SMALL, M4))
    assert planned_network(tmp_path, None, M4) == "no network was measured"
    save_network(tmp_path, SMALL.number, b"no flatbuffer")
    assert "cannot be planned again" in str(planned_network(tmp_path, SMALL, M4))


def test_layers_of_one_name_stand_beside_each_other(tmp_path: Path) -> None:
    before = stored(tmp_path, residual(), BASE)
    left_out = before.layers[1].name
    after = replace(before, layers=(before.layers[0], *before.layers[2:]))
    rows = layer_rows(before, after)
    assert [row[0].name for row in rows if row[0]] == [layer.name for layer in before.layers]
    assert [row[0].name for row in rows if row[0] and row[1] is None] == [left_out]
    assert all(a.name == b.name for a, b in rows if a and b)
    turned = layer_rows(after, before)
    assert [row[1].name for row in turned if row[1] and row[0] is None] == [left_out]
    assert layer_rows("none", "none") == []


def test_what_was_timed_on_the_board_stands_beside_the_kernels(tmp_path: Path) -> None:
    """Of the layer's kernel the form that runs, of the others the best form."""
    plain = stored(tmp_path, tiny_conv(), SMALL).layers[0]
    other = plain.beaten[-1]
    kernels = [
        {"kernel": plain.kernel, "scratch_bytes": plain.scratch_bytes, "cost": 1234},
        {"kernel": plain.kernel, "scratch_bytes": plain.scratch_bytes + 4, "cost": 1000},
        {"kernel": other, "scratch_bytes": 0, "cost": 7000},
        {"kernel": other, "scratch_bytes": 8, "cost": 6000},
    ]
    layers = [{"name": plain.name, "count": 77, "kernels": kernels}]
    (tmp_path / "layers.json").write_text(json.dumps({SMALL.number: layers}))
    layer = stored(tmp_path, tiny_conv(), SMALL).layers[0]
    assert (layer.count, layer.kernel_cost) == (77, "1,234")
    assert layer.beaten[-1].split("\N{NO-BREAK SPACE}") == [other, "6,000"]


@pytest.mark.parametrize("text", ["[]", "{", '{"3": [{"name": "a"}]}', '{"x": []}', '{"3": 1}'])
def test_damaged_counts_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "layers.json").write_text(text)
    with pytest.raises(UserError, match=r"layers\.json is damaged: delete it"):
        read_counts(tmp_path)
