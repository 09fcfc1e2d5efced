"""`hil boards`: the figures of each board; a broken file hides no other board."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from compress.errors import UserError
from hil import board
from hil.cli.boards import register
from hil.files import data_folder


def boards(*arguments: str, columns: int = 200) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)  # with one command only, typer would not want its name
    register(app)
    return CliRunner().invoke(app, ["boards", *arguments], env={"COLUMNS": str(columns)})


def test_boards_as_json_are_one_object() -> None:
    done = boards("--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)["boards"]}
    assert done.exit_code == 0
    assert rows["m3"]["core"] == "cortex-m3"
    assert rows["m3"]["ram_limit_bytes"] == 20 * 1024
    assert {"m0", "m3", "m4", "m7", "m33", "m55"} <= set(rows)
    names = ("m4", "m55", "nucleo-f446re")
    assert [rows[name]["cycles"] for name in names] == ["modelled", "none", "counted"]
    assert rows["m4"]["active_mw"] == 163.0
    assert rows["m55"]["active_mw"] is None


def test_boards_tell_which_limits_they_can_be_held_to() -> None:
    cells = {line.split()[0]: line.split() for line in boards().stdout.splitlines()}
    assert {"cycles", "mW"} <= set(cells["board"])
    assert {"modelled", "163"} <= set(cells["m4"])
    assert "none" in cells["m55"]


@pytest.mark.parametrize("columns", [80, 120])
def test_nothing_is_cut_on_a_terminal(columns: int) -> None:
    shown = boards(columns=columns).stdout
    assert "…" not in shown
    assert ("description" in shown) == (columns == 120)
    assert {line.split()[0] for line in shown.splitlines()} >= {"m3", "nucleo-h7a3zi-q"}


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_a_broken_file_hides_no_other_board(
    option: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(data_folder("boards"), tmp_path / "boards"))
    monkeypatch.setattr(board, "data_folder", lambda name: folder)
    (folder / "mine.toml").write_text('core = "cortex-m4"\n')
    (folder / "other.toml").write_text("core =\n")
    done = boards(*option)
    assert isinstance(done.exception, UserError)
    assert "mine.toml: missing key title" in str(done.exception)
    assert "other.toml: Invalid value" in str(done.exception)
    assert "nucleo-f446re" in done.stdout
    assert "mine" not in done.stdout
