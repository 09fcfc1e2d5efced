"""The stated errors of modeled cycles: for which cores, and equal to the document's."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from helpers.checkout import ROOT
from helpers.trials import measured, pruned
from hil.board import CORES
from hil.cycle_model import MODELED_CORES, STATED_ERRORS, stated_error
from hil.emulator.plugin import SOURCES
from hil.store.trial_json import measurement_from_json, measurement_to_json

DOCUMENT = ROOT / "docs" / "cycle-model.md"
SECTIONS = {
    "cortex-m4": "Cortex-M4 against silicon",
    "cortex-m7": "Cortex-M7 against a projection",
    "cortex-m33": "Cortex-M33 against silicon",
}


def test_errors_are_stated_only_where_silicon_gives_some() -> None:
    assert {core for core in CORES if stated_error(core) is not None} == SECTIONS.keys()
    assert set(MODELED_CORES) == set(CORES) - {"cortex-m55"}


def test_modelled_cores_are_those_the_plug_in_has() -> None:
    names = re.findall(r'\.name = "([^"]+)"', (SOURCES / "timing.c").read_text())
    assert set(names) == set(MODELED_CORES)


@pytest.mark.parametrize("core", SECTIONS)
def test_the_document_found_the_stated_error(core: str) -> None:
    text = DOCUMENT.read_text(encoding="utf-8").split(f"## {SECTIONS[core]}\n")[1].split("\n## ")[0]
    found = re.search(r"median error \|[ |]*\*\*(\d+) %\*\*", text)
    assert found
    assert int(found[1]) == round(100 * STATED_ERRORS[core])


def test_measurements_kept_before_cycles_were_modelled_can_be_read() -> None:
    kept = measured(0, pruned(0.5)).measurement
    assert kept is not None
    measurement = replace(kept, model_cycles=123, model_error=0.2)
    fields = measurement_to_json(measurement)
    assert measurement_from_json(fields) == measurement
    old = {k: v for k, v in fields.items() if not k.startswith("model_")}
    assert measurement_from_json(old) == replace(measurement, model_cycles=None, model_error=None)
