"""`hil compare` with a policy: which changes break it, what is refused, and the example for CI."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from compress.errors import UserError
from helpers.checkout import ROOT
from helpers.reports import BASE, SMALL, TRIALS, make
from hil.cli.main import app
from hil.comparison.policy import Tolerance, read_policy

RESULT: dict[str, Any] = {
    "board": "m4",
    "counter": "insn",
    "insn": 1_000_000,
    "model_cycles": 2_000_000,
    "accuracy": 0.95,
    "flash_bytes": {"weights": 30_000, "total": 40_000},
    "ram_bytes": {"total": 8_000},
    "metric": {"name": "accuracy"},
    "provenance": {"compiler": "gcc 12"},
}


def compared(
    folder: Path, policy: str | None, *options: str, **changes: Any
) -> tuple[int, dict[str, Any] | str]:
    """Exit code, and the result as JSON, or the error's text."""
    for name, result in (("a.json", RESULT), ("b.json", {**RESULT, **changes})):
        (folder / name).write_text(json.dumps(result))
    given = []
    if policy is not None:
        (folder / "policy.toml").write_text(f"[tolerance]\n{policy}\n")
        given = ["--policy", str(folder / "policy.toml")]
    names = [str(folder / name) for name in ("a.json", "b.json")]
    done = CliRunner().invoke(app, ["compare", *names, *given, *options, "--json"])
    if isinstance(done.exception, UserError):
        return 2, str(done.exception)
    return done.exit_code, json.loads(done.stdout)


@pytest.mark.parametrize(
    ("policy", "changes", "code"),
    [
        (None, {}, 0),
        (None, {"insn": 1_000_001}, 1),
        (None, {"accuracy": 0.9499}, 1),
        ('flash = "1%"', {"flash_bytes": {"total": 40_400}}, 0),
        ('flash = "1%"', {"flash_bytes": {"total": 40_401}}, 1),
        ('flash = "1% + 64"', {"flash_bytes": {"total": 40_464}}, 0),
        ('flash = "1% + 64"', {"flash_bytes": {"total": 40_465}}, 1),
        ("ram = 0", {"ram_bytes": {"total": 8_001}}, 1),
        ('ram = "1K"', {"ram_bytes": {"total": 9_024}}, 0),
        ('ram = "1K"', {"ram_bytes": {"total": 9_025}}, 1),
        ('cycles = "2%"', {"model_cycles": 2_040_001}, 1),
        ('cycles = "2%"', {"insn": 9_000_000}, 0),  # it does not name instructions
        ('accuracy = "0.5 points"', {"accuracy": 0.945}, 0),
        ('accuracy = "0.5 points"', {"accuracy": 0.9449}, 1),
        ('accuracy = "0.5 points"', {"accuracy": 1.0}, 0),
        ("accuracy = 0.005", {"accuracy": 0.9449}, 1),
    ],
)
def test_a_policy_accepts_what_is_within_its_tolerances(
    tmp_path: Path, policy: str | None, changes: dict[str, Any], code: int
) -> None:
    found, result = compared(tmp_path, policy, **changes)
    assert found == code, result
    assert isinstance(result, dict)
    assert result["worse"] == code


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"board": "m7"}, "board"),
        ({"counter": "dwt"}, "counter"),
        ({"provenance": {"compiler": "gcc 14"}}, "compiler"),
    ],
)
def test_figures_of_other_conditions_are_refused_unless_told(
    tmp_path: Path, changes: dict[str, Any], fact: str
) -> None:
    code, text = compared(tmp_path, None, **changes)
    assert code == 2
    assert f"different {fact}s" in str(text)
    assert compared(tmp_path, None, "--across", fact, **changes)[0] == 0


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ('energy = "1%"', "the policy names energy"),
        ('flsh = "1%"', "'flsh' is not known; allowed are flash"),
        ('flash = "much"', "a share such as 2%"),
        ('flash = "-1%"', "a share such as 2%"),
        ("flash = true", "a share such as 2%"),
        ('flash = "1 mile"', "a share such as 2%"),
        ("", "must have one section"),
        ("flash = ", "cannot be read as a policy"),
    ],
)
def test_a_policy_that_gates_nothing_is_refused(tmp_path: Path, policy: str, words: str) -> None:
    code, text = compared(tmp_path, policy)
    assert code == 2
    assert words in str(text)


def test_runs_trials_and_their_json_compare_with_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "runs" / "one", TRIALS)
    monkeypatch.chdir(tmp_path)
    report = CliRunner().invoke(app, ["report", "one", "--json"])
    (tmp_path / "one.json").write_text(report.stdout)

    def worse(*arguments: str) -> set[str]:
        done = CliRunner().invoke(app, ["compare", *arguments, "--json"])
        assert done.exit_code in (0, 1), done.exception
        return {one["name"] for one in json.loads(done.stdout)["changes"] if one["worse"]}

    assert worse("one", "one.json") == set()
    assert worse(str(tmp_path / "runs" / "one"), f"one:{SMALL.number}") == set()
    assert worse(f"one:{BASE.number}", "one") == {"accuracy", "val_accuracy"}
    assert worse("one", f"one:{BASE.number}") == {"insn", "flash_bytes", "ram_bytes"}
    for named in ("one:2", "one:99", "none"):  # infeasible, not there
        assert isinstance(CliRunner().invoke(app, ["compare", "one", named]).exception, UserError)


@pytest.mark.parametrize("width", ["80", "120"])
def test_the_table_is_not_cut(tmp_path: Path, width: str) -> None:
    compared(tmp_path, 'flash = "1%"')
    names = [str(tmp_path / name) for name in ("a.json", "b.json")]
    shown = CliRunner().invoke(app, ["compare", *names], env={"COLUMNS": width}).output
    assert re.search(r"flash_bytes +40,000 +40,000 +\+0.00 % +\+0.00 %", shown)
    assert "…" not in shown


def test_the_example_for_ci_is_a_workflow_whose_commands_are_hils(tmp_path: Path) -> None:
    """The gate itself is run; the other commands are parsed by hil, and the page has the same."""
    text = (ROOT / "docs/ci/hil.yml").read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    steps = workflow["jobs"]["figures"]["steps"]
    lines = "\n".join(step.get("run", "") for step in steps).splitlines()
    commands = [line.strip() for line in lines if line.strip().startswith("hil ")]
    assert [line.split()[1] for line in commands] == ["bench", "bench", "compare"]
    page = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
    for line in commands:
        assert line in page
        words = line.partition(" > ")[0].split()[1:]
        asked = CliRunner().invoke(app, [*words, "--help"])
        assert asked.exit_code == 0, asked.output
    assert read_policy(ROOT / "docs/ci/policy.toml").tolerances["flash_bytes"] == Tolerance(
        0.01, 64.0
    )
    files = {"former.json": tmp_path / "a.json", "new.json": tmp_path / "b.json"}
    files["policy.toml"] = ROOT / "docs/ci/policy.toml"
    for changes, code in (({}, 0), ({"ram_bytes": {"total": 8_001}}, 1)):
        compared(tmp_path, None, **changes)
        gate = [str(files.get(word, word)) for word in commands[-1].split()[1:]]
        assert CliRunner().invoke(app, gate).exit_code == code
