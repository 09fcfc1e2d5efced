"""The head of the page: what was chosen, what equals the int8 network, and how sure that is."""

from __future__ import annotations

from dataclasses import replace
from math import hypot
from pathlib import Path

import pytest

from helpers.reports import BASE, SMALL, TINY, make, plain
from helpers.trials import measured, pruned
from hil.report.summary import Summary
from hil.report.verdict import equally_accurate, verdict_of
from hil.store.store import Final

LEAN = measured(5, pruned(0.7), accuracy=0.975, flash=30_000, ram=7_000, count=700_000)


def judged(folder: Path, mine: float, error: float | None = 0.003) -> Summary:
    """A run in which the float network has 97 %, int8 96.5 % and LEAN `mine` on the test split."""
    finals = (
        Final(1, "test", 190, 200, 0.965, 2_000, error),
        Final(3, "test", 190, 200, 0.955, 2_000, error),
        Final(5, "test", 190, 200, mine, 2_000, error),
    )
    summary = make(folder, (BASE, SMALL, TINY, LEAN), finals=finals)
    return replace(summary, originals={"val": 0.98, "test": 0.97})


def test_equal_accuracy_is_decided_by_the_validation_split(tmp_path: Path) -> None:
    """The cheapest with the int8 network's accuracy there, whatever the test split says."""
    for name, mine in (("good", 0.97), ("bad", 0.80)):
        assert equally_accurate(judged(tmp_path / name, mine)) == LEAN
    assert equally_accurate(make(tmp_path / "none")) is None
    assert "costs less" in verdict_of(make(tmp_path / "none")).no_equal


@pytest.mark.parametrize(
    ("mine", "judgment", "badge"),
    [
        (0.966, "good", "equal within the error"),
        (0.960, "good", "equal within the error"),
        (0.940, "bad", "worse on the test split"),
        (0.990, "good", "better on the test split"),
    ],
)
def test_the_difference_on_the_test_split_judges(
    tmp_path: Path, mine: float, judgment: str, badge: str
) -> None:
    equal = verdict_of(judged(tmp_path, mine)).equal
    assert equal is not None
    assert (equal.judgment, equal.badge) == (judgment, badge)
    ends = [100 * (mine - 0.965 + sign * 1.959964 * hypot(0.003, 0.003)) for sign in (-1, 1)]
    assert f"95 % interval {ends[0]:+.1f} to {ends[1]:+.1f}" in plain(equal.text)


def test_older_runs_have_no_interval_of_the_difference(tmp_path: Path) -> None:
    equal = verdict_of(judged(tmp_path, 0.96, error=None)).equal
    assert equal is not None
    assert (equal.judgment, equal.badge) == ("open", "worse on the test split")
    assert "points" not in equal.text


def test_the_head_names_the_network_its_savings_and_the_board(tmp_path: Path) -> None:
    verdict = verdict_of(judged(tmp_path, 0.966))
    assert plain(verdict.headline) == (
        "Trial 3 (prune → quantize) needs 0.50x the flash, 0.50x the RAM and 0.25x the "
        "instructions of the int8 network."
    )
    assert "m4, cortex-m4" in verdict.measured_on
    assert "instructions (emulator, exact)" in verdict.measured_on
    assert verdict.chosen is not None
    assert [(one.name, plain(one.ratio)) for one in verdict.chosen.savings] == [
        *(("flash", "0.50x"), ("RAM", "0.50x"), ("instructions", "0.25x"))
    ]
    assert plain(verdict.chosen.badge) == "keeps the floor of 95.00 %, within the error"
    assert "the int8 network has 96.50 %" in plain(verdict.chosen.text)


def test_what_is_not_judged_is_said(tmp_path: Path) -> None:
    verdict = verdict_of(make(tmp_path))
    assert verdict.chosen is not None
    assert verdict.chosen.badge == "not judged yet"
    empty = verdict_of(make(tmp_path / "empty", ()))
    assert (empty.chosen, empty.equal, empty.no_equal) == (None, None, "")
    assert empty.headline == "No trial has been measured yet."


def test_a_chosen_network_may_be_the_one_at_equal_accuracy(tmp_path: Path) -> None:
    """With a floor above the int8 network's accuracy, the cheapest that keeps it is both."""
    finals = (
        Final(1, "test", 190, 200, 0.965, 2_000, 0.003),
        Final(5, "test", 190, 200, 0.97, 2_000, 0.003),
    )
    summary = make(tmp_path, (BASE, SMALL, LEAN), target=0.975, finals=finals)
    verdict = verdict_of(summary)
    assert verdict.chosen is not None
    assert verdict.equal is None
    assert "also at the accuracy of the int8 network" in verdict.chosen.title
    assert "a difference of +0.50 points, 95 % interval -0.3 to +1.3" in plain(verdict.chosen.text)
