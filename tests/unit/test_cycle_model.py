"""The stated errors of modeled cycles: for which cores, and equal to the document's."""

from __future__ import annotations

import csv
import hashlib
import re
import statistics
from dataclasses import replace

import pytest

from helpers.checkout import ROOT
from helpers.trials import measured, pruned
from hil.board import CORES
from hil.cycle_model import (
    MODELED_CORES,
    SAME_CODE_ERRORS,
    STATED_ERRORS,
    same_code_error,
    stated_error,
)
from hil.emulator.plugin import SOURCES
from hil.store.trial_json import measurement_from_json, measurement_to_json

FIGURES = ROOT / "benchmarks" / "same_code_silicon.csv"
DOCUMENT = ROOT / "docs" / "cycle-model.md"
SECTIONS = {
    "cortex-m4": "Cortex-M4 against silicon",
    "cortex-m7": "Cortex-M7 against a projection",
    "cortex-m33": "Cortex-M33 against silicon",
}


def test_errors_are_stated_only_where_silicon_gives_some() -> None:
    assert {core for core in CORES if stated_error(core) is not None} == SECTIONS.keys()
    assert set(MODELED_CORES) == set(CORES) - {"cortex-m55"}


def test_modeled_cores_are_those_the_plug_in_has() -> None:
    names = re.findall(r'\.name = "([^"]+)"', (SOURCES / "timing.c").read_text())
    assert set(names) == set(MODELED_CORES)


@pytest.mark.parametrize("core", SECTIONS)
def test_the_document_found_the_stated_error(core: str) -> None:
    text = DOCUMENT.read_text(encoding="utf-8").split(f"## {SECTIONS[core]}\n")[1].split("\n## ")[0]
    found = re.search(r"median error \|[ |]*\*\*(\d+) %\*\*", text)
    assert found
    assert int(found[1]) == round(100 * STATED_ERRORS[core])


def test_the_file_has_the_stated_errors_for_the_same_code() -> None:
    with FIGURES.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["core"] for row in rows} == SAME_CODE_ERRORS.keys() == set(MODELED_CORES)
    for core, stated in SAME_CODE_ERRORS.items():
        errors = [
            abs(
                int(row["with_ram_cycles"] or row["modeled_cycles"]) / int(row["silicon_cycles"])
                - 1
            )
            for row in rows
            if row["core"] == core
        ]
        assert len(errors) == stated.figures
        assert statistics.median(errors) == pytest.approx(stated.median, abs=6e-4)
        assert max(errors) == pytest.approx(stated.largest, abs=6e-4)
    assert same_code_error("cortex-m55") is None


def test_the_halves_are_told_by_the_programs_names() -> None:
    with FIGURES.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row["source"].startswith("mupq/"):
                held_out = hashlib.sha256(row["program"].encode()).digest()[-1] & 1
                assert row["half"] == ("held out" if held_out else "seen"), row


@pytest.mark.parametrize(("core", "median"), [("cortex-m3", 0.04), ("cortex-m4", 0.02)])
def test_the_goals_for_the_same_code_are_met_by_both_halves(core: str, median: float) -> None:
    with FIGURES.open(newline="", encoding="utf-8") as stream:
        rows = [
            row for row in csv.DictReader(stream) if (row["core"], row["set"]) == (core, "given")
        ]
    for half in ("seen", "held out"):
        errors = [
            abs(int(row["with_ram_cycles"]) / int(row["silicon_cycles"]) - 1)
            for row in rows
            if row["half"] == half
        ]
        assert statistics.median(errors) <= median
        assert max(errors) <= 0.06


def test_measurements_kept_before_cycles_were_modeled_can_be_read() -> None:
    kept = measured(0, pruned(0.5)).measurement
    assert kept is not None
    measurement = replace(kept, model_cycles=123, model_error=0.2, wait_cycles=7)
    fields = measurement_to_json(measurement)
    assert measurement_from_json(fields) == measurement
    old = {k: v for k, v in fields.items() if not k.startswith("model_")}
    assert measurement_from_json(old) == replace(measurement, model_cycles=None, model_error=None)
