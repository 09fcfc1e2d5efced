"""Metrics of other outputs than the one that decides, from the store to the report's pages."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from compress.metrics.scale import MetricScale
from compress.pipeline.diagnosis import Diagnosis
from helpers.reports import Page, make, printed
from helpers.trials import BASELINE, measured, pruned
from hil.report.report import Summary, print_table, summary_to_json
from hil.report.report import write_html as write
from hil.store.run_folder import save_diagnosis
from hil.store.trial_json import trial_from_json, trial_to_json
from hil.types import Trial

FLOAT = Diagnosis(
    (), (), (), metric=MetricScale("shape.accuracy"), value=0.99, error=0.01,
    others=(("box.mae", 0.061), ("text.f1", 0.8125)),
)  # fmt: skip


def _trial(number: int, mae: float, f1: float, flash: int) -> Trial:
    genome = BASELINE if number == 1 else pruned(0.5)
    trial = measured(number, genome, accuracy=0.98, flash=flash)
    assert trial.measurement is not None
    others = (("box.mae", mae), ("text.f1", f1))
    return replace(trial, measurement=replace(trial.measurement, value=0.96, others=others))


def _summary(folder: Path) -> Summary:
    folder.mkdir(exist_ok=True)
    save_diagnosis(folder, FLOAT)
    return make(folder, (_trial(1, 0.066, 0.8, 40_000), _trial(2, 0.12, 0.75, 20_000)), target=0.97)


def test_they_stand_below_the_table_and_in_the_page_by_network(tmp_path: Path) -> None:
    summary = _summary(tmp_path)
    text = printed(lambda console: print_table(summary, console), width=200)
    where = "on the validation split: float network"
    box = f"box MAE {where} 0.0610, int8 baseline 0.0660, chosen 0.120"
    words = f"text F1 {where} 81.25 %, int8 baseline 80.00 %, chosen 75.00 %"
    assert box in text
    assert words in text
    assert "shape accuracy" in text
    write(summary, tmp_path / "report.html")
    page = " ".join(Page(tmp_path / "report.html").text.split())
    assert f"{box}." in page
    assert "shape accuracy against cost" in page.lower()
    assert summary_to_json(summary)["trials"][1]["measurement"]["other_values"] == {
        "box.mae": 0.12,
        "text.f1": 0.75,
    }


def test_a_trial_keeps_them_and_older_ones_have_none() -> None:
    trial = _trial(2, 0.12, 0.75, 20_000)
    fields = json.loads(json.dumps(trial_to_json(trial)))
    assert trial_from_json(fields) == trial
    del fields["measurement"]["other_values"]
    found = trial_from_json(fields).measurement
    assert found is not None
    assert found.others == ()
