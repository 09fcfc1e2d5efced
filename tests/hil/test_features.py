"""Front ends on emulated boards: every frame equals the reference, and their costs are counted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from compress.features.integer import IntegerSpectra
from compress.tflite.exporter import export_tflite
from helpers.front_ends import in_integers
from helpers.trials import BASELINE, measured
from hil.board import load_board
from hil.errors import Mismatch
from hil.features import measure as measuring
from hil.features import of_task
from hil.features.files import features_scratch_bytes
from hil.features.measure import measure_front_end
from hil.measure.continuous import loop_graph
from hil.measure.measure import BoardRunner
from hil.report.features_of_run import keep_feature_costs, read_feature_costs
from hil.store.run_folder import network_path
from hil.target.open import open_target, open_waiting_target


@pytest.mark.parametrize(("board", "other"), [("m0", "log_mel"), ("m4", "anomaly")])
def test_frames_equal_the_reference_and_are_counted(board: str, other: str) -> None:
    with BoardRunner(load_board(board), open_target) as runner:
        costs = {kind: measure_front_end(in_integers(kind), runner) for kind in ("mfcc", other)}
    mfcc = costs["mfcc"]
    assert mfcc.frames == 49
    assert mfcc.counter == "insn"
    # A frame has 512 samples, 9 * 256 / 2 butterflies and 127 roots, and far less than 10 of each.
    assert 20_000 < mfcc.count < 150_000
    assert mfcc.count < mfcc.model_cycles < 3 * mfcc.count
    assert mfcc.wait_cycles is None
    assert mfcc.cycles == mfcc.model_cycles
    assert 4_000 < mfcc.flash_bytes < 10_000
    assert mfcc.state_bytes == 960 + 4 + 492
    assert mfcc.scratch_bytes == features_scratch_bytes(in_integers("mfcc")) == 4 * (512 + 40)
    assert 100 < mfcc.stack_bytes < 1_000


def test_wait_states_are_modeled() -> None:
    board = load_board("m4")
    with BoardRunner(board, open_target, open_waiting_target) as runner:
        costs = measure_front_end(in_integers("motion"), runner)
    assert costs.wait_cycles is not None
    assert costs.wait_cycles >= 0
    assert costs.cycles == costs.model_cycles + costs.wait_cycles
    assert costs.frame_ms == pytest.approx(1e3 * costs.cycles / 180e6)


def test_a_wrong_value_is_a_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device gets a front end whose floors differ from the reference's."""
    front_end = in_integers("mfcc")
    assert isinstance(front_end, IntegerSpectra)
    other = replace(front_end, floors=front_end.floors * 1000)
    program = measuring.front_end_program(other, load_board("m3"))
    monkeypatch.setattr(measuring, "front_end_program", lambda *_: program)
    with (
        BoardRunner(load_board("m3"), open_target) as runner,
        pytest.raises(Mismatch, match=r"layer features: sample \d+, element \d+"),
    ):
        measure_front_end(front_end, runner)


def test_a_run_keeps_the_costs_of_its_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of any kind stands for the chosen one: its front end is given."""
    (path := network_path(tmp_path, 1)).parent.mkdir()
    path.write_bytes(export_tflite(loop_graph()))
    trial = measured(1, BASELINE)
    board = load_board("m3")
    monkeypatch.setattr(of_task, "front_end_of", lambda *_: in_integers("motion"))
    words = keep_feature_costs(tmp_path, "motion", trial, board)
    assert "per input of 128 frames" in words
    assert read_feature_costs(tmp_path) == words
    kept = json.loads((tmp_path / "features.json").read_text())
    assert 100 < kept["count"] < 10_000
    assert keep_feature_costs(tmp_path, "motion", None, board) == words
    (tmp_path / "features.json").unlink()
    assert keep_feature_costs(tmp_path, "motion", None, board) == ""
    monkeypatch.setattr(of_task, "front_end_of", lambda *_: None)
    assert keep_feature_costs(tmp_path, "motion", trial, board) == ""
