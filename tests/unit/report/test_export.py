"""The folder `chosen/` holds the present chosen network in full, or does not exist."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from compress.errors import UserError
from compress.tflite.exporter import export_tflite
from helpers.graph_examples import residual, tiny_conv
from helpers.graph_variants import with_weights
from helpers.trials import BASELINE, measured, pruned
from hil.board import load_board
from hil.codegen.plan import make_plan
from hil.report.export import export_chosen
from hil.store.run_folder import save_network

BOARD = load_board("m3")
SMALL, LARGE = measured(1, pruned(0.5)), measured(2, BASELINE)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    save_network(tmp_path, SMALL.number, export_tflite(tiny_conv()))
    save_network(tmp_path, LARGE.number, export_tflite(residual()))
    export_chosen(tmp_path, SMALL, BOARD, "test")
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_another_choice_takes_the_place_of_the_former(run: Path) -> None:
    before = files(run / "chosen")
    assert {"model.c", "weights.c", "link.ld", "model.elf", "model.tflite"} <= set(before)
    export_chosen(run, LARGE, BOARD, "test")
    after = files(run / "chosen")
    assert after["model.tflite"] == (run / "trials" / "0002.tflite").read_bytes()
    assert after["model.elf"] != before["model.elf"]
    export_chosen(run, SMALL, BOARD, "test")
    assert files(run / "chosen") == before
    assert sorted(path.name for path in run.iterdir()) == ["chosen", "trials"]


def test_weights_are_stored_as_they_were_when_measured(run: Path) -> None:
    graph = with_weights(tiny_conv(), 4, 0.6)
    save_network(run, SMALL.number, export_tflite(graph))
    sources = []
    for saves in ("flash", "ram"):
        provenance = replace(SMALL.provenance, saves=saves)
        export_chosen(run, replace(SMALL, provenance=provenance), BOARD, "test")
        sources.append((run / "chosen" / "model.c").read_text())
    expanded = ["expand_" in text for text in sources]
    lean = make_plan(graph, BOARD, "ram")
    assert expanded == [True, any(step.expanded for step in lean.steps)]
    assert sources[0] != sources[1] or lean.arena_bytes == make_plan(graph, BOARD).arena_bytes


def test_what_is_no_longer_chosen_goes(run: Path) -> None:
    export_chosen(run, None, BOARD, "test")
    assert [path.name for path in run.iterdir()] == ["trials"]
    export_chosen(run, None, BOARD, "test")


def test_a_build_that_fails_or_is_interrupted_leaves_the_former(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(run / "chosen")

    def interrupted(program: object, board: object, folder: Path) -> None:
        (folder / "model.c").write_text("half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("hil.report.export.build", interrupted)
        with pytest.raises(KeyboardInterrupt):
            export_chosen(run, LARGE, BOARD, "test")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UserError, match="not found"):
        export_chosen(run, LARGE, BOARD, "test")
    assert files(run / "chosen") == before
    assert sorted(path.name for path in run.iterdir()) == ["chosen", "trials"]
