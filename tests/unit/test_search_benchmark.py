"""The report of benchmarks/search.py tells how it was made."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from trials import BASELINE, measured

from hil.time_profile import profile_of

SOURCE = Path(__file__).resolve().parents[2] / "benchmarks" / "search.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("search_benchmark", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_report_names_the_command_with_every_option(benchmark: ModuleType) -> None:
    trials = (measured(1, BASELINE),)
    whole = benchmark.Run(100.0, trials, profile_of(trials, ()))
    options = ["--task", "kws", "--board", "m4", "--trials", "100", "--seed", "7"]
    text = benchmark.report(whole, whole, 5, options, "kws on m4", "m4")
    assert f"Made by `python benchmarks/search.py compare {' '.join(options)} --kills 5`" in text
