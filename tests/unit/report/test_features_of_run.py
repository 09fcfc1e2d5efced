"""The costs of a task's front end in a run: kept once, shown in report and terminal."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from helpers.reports import make
from hil.report.features_of_run import keep_feature_costs, read_feature_costs
from hil.report.findings import notes
from hil.report.report import print_table
from hil.report.summary_json import summary_to_json

COSTS = {
    "count": 49_513,
    "unit": "instructions",
    "cycles": 66_841,
    "frame_ms": 0.371,
    "frames": 49,
    "flash_bytes": 6_524,
    "state_bytes": 1_456,
    "scratch_bytes": 2_208,
    "stack_bytes": 412,
}
WORDS = (
    "66,841 cycles (0.371 ms) per new frame, 3,275,209 per input of 49 frames; 6.37 KiB flash, "
    "1.42 KiB RAM, 2.16 KiB scratch that may be the network's arena; not in the network's figures"
)


def test_kept_costs_are_in_the_report(tmp_path: Path) -> None:
    (tmp_path / "features.json").write_text(json.dumps(COSTS))
    summary = make(tmp_path)
    assert summary.features == WORDS
    assert notes(summary)["features"] == WORDS
    assert summary_to_json(summary)["features"] == WORDS
    console = Console(file=io.StringIO(), width=400)
    print_table(summary, console)
    assert f"features: {WORDS}" in console.file.getvalue()


def test_a_task_without_features_says_nothing(tmp_path: Path) -> None:
    summary = make(tmp_path)
    assert summary.features == ""
    assert "features" not in notes(summary)
    assert summary_to_json(summary)["features"] is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", json.dumps({**COSTS, "cycles": "many"})])
def test_a_damaged_file_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "features.json").write_text(text)
    assert read_feature_costs(tmp_path) == ""


def test_cycles_that_are_not_known(tmp_path: Path) -> None:
    costs = {**COSTS, "cycles": None, "frame_ms": None, "scratch_bytes": 4}
    (tmp_path / "features.json").write_text(json.dumps(costs))
    assert read_feature_costs(tmp_path) == (
        "49,513 instructions per new frame, 2,426,137 per input of 49 frames; 6.37 KiB flash, "
        "1.42 KiB RAM; not in the network's figures"
    )


def test_what_is_kept_is_not_measured_again(tmp_path: Path) -> None:
    (tmp_path / "features.json").write_text(json.dumps(COSTS))
    summary = make(tmp_path)
    assert keep_feature_costs(tmp_path, "digits", summary.chosen, summary.goal.board) == WORDS
