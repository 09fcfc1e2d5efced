"""What the options of `hil evolve` ask of a search."""

from __future__ import annotations

from pathlib import Path

import pytest

import hil.evolve
from compress.errors import UserError
from hil.cli import app
from hil.evolve import Settings


def asked(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> Settings:
    """What a search would be told."""
    told: list[Settings] = []

    def search(settings: Settings) -> str:
        told.append(settings)
        raise UserError("enough")

    monkeypatch.setattr(hil.evolve, "evolve", search)
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match="enough"):
        app(["evolve", *arguments], standalone_mode=False)
    return told[0]


def test_patience_is_the_trials_without_improvement_that_end_a_search(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert asked(monkeypatch, tmp_path).patience_trials == 60
    assert asked(monkeypatch, tmp_path, "--patience", "200").patience_trials == 200
