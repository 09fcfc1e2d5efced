"""The benchmarks that search: their reports tell how they were made, and what was found."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from helpers.checkout import ROOT
from helpers.trials import BASELINE, measured, pruned
from hil.report.summary import summarize
from hil.report.time_profile import profile_of
from hil.store.store import Final, RunIdentity, Store

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def benchmark(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module(request.param)


@pytest.mark.parametrize("benchmark", ["search"], indirect=True)
def test_the_report_names_the_command_with_every_option(benchmark: ModuleType) -> None:
    trials = (measured(1, BASELINE),)
    whole = benchmark.Run(100.0, trials, profile_of(trials, ()))
    options = ["--task", "kws", "--board", "m4", "--trials", "100", "--seed", "7"]
    text = benchmark.report(whole, whole, 5, options, "kws on m4", "m4")
    assert f"Made by `python benchmarks/search.py compare {' '.join(options)} --kills 5`" in text


@pytest.mark.parametrize("benchmark", ["example"], indirect=True)
def test_the_figures_of_the_example_are_ratios_to_int8(
    benchmark: ModuleType, tmp_path: Path
) -> None:
    base = measured(1, BASELINE, accuracy=0.92, flash=40_000, ram=8_000, count=1_000_000)
    equal = measured(2, pruned(0.9), accuracy=0.93, flash=30_000, ram=6_000, count=800_000)
    small = measured(3, pruned(0.5), accuracy=0.87, flash=20_000, ram=4_000, count=250_000)
    missing = measured(4, pruned(0.1), accuracy=0.85, flash=10_000, ram=1_000, count=10_000)
    with Store.open(tmp_path, RunIdentity("kws", "m7", 0, "5e")) as store:
        store.begin_session(0.86)
        for trial in (base, equal, small, missing):
            store.add(trial)
        for number, accuracy in ((1, 0.91), (3, 0.865)):
            store.add_final(Final(number, "test", 1, 1, accuracy))
        store.end_session("minutes")
        tried, chosen, other = benchmark.figures(summarize(store)).splitlines()
    assert tried.startswith("4 networks measured, 0 screened")
    assert "0.50 of the flash, 0.50 of the RAM, 0.25 of the instructions" in chosen
    assert "87.00\N{NO-BREAK SPACE}% instead of 92.00\N{NO-BREAK SPACE}%" in chosen
    assert "86.50\N{NO-BREAK SPACE}% instead of 91.00\N{NO-BREAK SPACE}% on the test" in chosen
    assert "0.75 of the flash, 0.75 of the RAM, 0.80 of the instructions" in other
