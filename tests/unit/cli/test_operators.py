"""`hil operators` and its page."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from compress.operators.registry import BUILTINS, FAMILIES
from compress.tflite_records.file import KIND_NAMES
from helpers.checkout import ROOT
from hil.cli.main import app
from hil.cli.operators import operators_page


def test_the_page_is_what_the_command_prints() -> None:
    """After a change: hil operators --markdown > docs/operators.md."""
    done = CliRunner().invoke(app, ["operators", "--markdown"])
    assert done.output == operators_page()
    assert (ROOT / "docs" / "operators.md").read_text(encoding="utf-8") == done.output


def test_every_imported_operator_is_listed_once() -> None:
    done = CliRunner().invoke(app, ["operators", "--json"])
    listed = [name for row in json.loads(done.output)["operators"] for name in row["tflite"]]
    imported = [KIND_NAMES[code] for code, builtin in BUILTINS.items() if builtin.build]
    assert sorted(listed) == sorted(imported)


@pytest.mark.parametrize("family", FAMILIES)
def test_limits_are_sentences(family: object) -> None:
    limits = family.limits  # type: ignore[attr-defined]
    assert limits.endswith(".")
    assert "|" not in limits


def test_the_table_names_operators() -> None:
    done = CliRunner().invoke(app, ["operators"], env={"COLUMNS": "80"})
    assert "FULLY_CONNECTED" in done.output
