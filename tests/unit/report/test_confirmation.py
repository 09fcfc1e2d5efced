"""The verdict of the test split: who keeps the floor, how surely, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from compress.pipeline.diagnosis import Diagnosis
from helpers.reports import BASE, SMALL, Page, make, plain, printed
from hil.board import load_board
from hil.objective.floor import Floor
from hil.objective.goal import Goal
from hil.report.confirmation import confirmation_of, lines, standard_errors
from hil.report.report import Summary, print_table, summary_to_json, write_html
from hil.store.store import Final


def with_final(
    folder: Path,
    accuracy: float,
    *,
    samples: int | None = 10_000,
    drop_error: float | None = 0.002,
    floor: Floor | None = None,
) -> Summary:
    """A run whose chosen network, SMALL, has these figures on the test split."""
    goal = replace(Goal.of(load_board("m4"), 0.95), floor=floor)
    finals = (Final(3, "test", 190, 200, accuracy, samples, drop_error),)
    summary = make(folder, goal=goal, finals=finals)
    diagnosis = Diagnosis(("a", "b"), (500, 500), (490, 480), judged=1000)
    return replace(summary, diagnosis=diagnosis, originals={"val": 0.97, "test": 0.96})


@pytest.mark.parametrize(
    ("accuracy", "keeps", "certain"),
    [(0.96, True, True), (0.952, True, False), (0.948, False, False), (0.94, False, True)],
)
def test_the_interval_decides_how_sure_it_is(
    tmp_path: Path, accuracy: float, keeps: bool, certain: bool
) -> None:
    found = confirmation_of(with_final(tmp_path, accuracy), SMALL)
    assert found is not None
    assert (found.keeps_floor, found.is_certain) == (keeps, certain)
    assert found.interval is not None
    assert accuracy in found.interval


def test_a_distance_counts_from_the_float_network_of_the_same_split(tmp_path: Path) -> None:
    """1.5 points below the float network's 96 % are 94.5 %, whatever it had on validation."""
    found = confirmation_of(with_final(tmp_path, 0.947, floor=Floor(-0.015, "distance")), SMALL)
    assert found is not None
    assert found.floor == pytest.approx(0.945)
    assert found.keeps_floor
    assert not found.is_certain  # 0.2 points are one standard error of the drop
    surely = with_final(tmp_path / "b", 0.947, drop_error=0.0005, floor=Floor(-0.015, "distance"))
    found = confirmation_of(surely, SMALL)
    assert found is not None
    assert found.is_certain


def test_the_report_says_it(tmp_path: Path) -> None:
    summary = with_final(tmp_path, 0.9476)
    said = [plain(line) for line in lines(summary)]
    assert said[0] == (
        "On 10,000 test samples, which decided nothing, the chosen network does not keep the floor "
        "of 95.00 %, within the error: accuracy 94.76 % (95 % interval 94.3 to 95.2 %), 1.24 "
        "points less than the float network on the same samples (standard error 0.20)."
    )
    assert "on 1,000 validation samples. The chosen one has 94.6 to 97.0 % there" in said[1]
    assert "at most 0.76 points" in said[1]  # sqrt(2 * 0.97 * 0.03 / 1000)
    table = " ".join(printed(lambda console: print_table(summary, console)).split())
    assert said[0] in table
    path = tmp_path / "report.html"
    write_html(summary, path)
    text = " ".join(Page(path).text.split())
    assert said[0] in text
    assert "95 % interval 94.3 to 95.2 %" in text
    assert 'class="n fell">94.76' in plain(path.read_text(encoding="utf-8"))


def test_the_measured_error_of_the_drop_replaces_the_expected_one(tmp_path: Path) -> None:
    summary = with_final(tmp_path, 0.96)
    assert SMALL.measurement is not None
    paired = replace(SMALL, measurement=replace(SMALL.measurement, drop_error=0.0042))
    summary = replace(summary, chosen=paired)
    assert standard_errors(summary)["validation"] == {
        "samples": 1000,
        "difference": pytest.approx(0.00763, abs=1e-5),
        "measured_drop": 0.0042,
    }
    assert "a standard error of 0.42 points" in lines(summary)[1]
    assert "at most" not in lines(summary)[1]


def test_json_has_the_verdicts(tmp_path: Path) -> None:
    found = summary_to_json(with_final(tmp_path, 0.96))
    assert found["confirmations"]["3"]["keeps_floor"] is True
    assert found["confirmations"]["3"]["interval"]["low"] < 0.96
    assert found["standard_errors"]["test"]["samples"] == 10_000
    assert found["standard_errors"]["test"]["measured_drop"] == 0.002


def test_older_finals_have_no_interval(tmp_path: Path) -> None:
    summary = with_final(tmp_path, 0.96, samples=None, drop_error=None)
    found = confirmation_of(summary, SMALL)
    assert found is not None
    assert found.interval is None
    assert not found.is_certain
    (line, *_) = lines(summary)
    assert plain(line) == (
        "On the test samples, which decided nothing, the chosen network keeps the floor of "
        "95.00 %: accuracy 96.00 %."
    )
    assert confirmation_of(summary, BASE) is None
