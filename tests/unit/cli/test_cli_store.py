"""The commands `hil trials export`, `import` and `merge`."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from compress.errors import UserError
from helpers.stores import change, example, exported
from helpers.trials import BASELINE, measured, pruned
from hil.board import board_sha256, load_board
from hil.cli import store as cli_store
from hil.store.store import RunIdentity, Store
from hil.store.table import export_store


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    cli_store.register(app, Path("runs"))

    def run(*arguments: str) -> Any:
        done = CliRunner().invoke(app, arguments)
        if done.exception is not None:
            raise done.exception
        return json.loads(done.stdout)

    identity = RunIdentity("digits", "m4", 0, board_sha256(load_board("m4")))
    for name, keep_ratio in (("a", 0.5), ("b", 0.25)):
        with Store.open(Path("runs") / name, identity) as store:
            store.add(measured(1, pruned(keep_ratio)))
    merged = run("trials", "merge", "c", "a", "b", "--json")["merged"]
    assert [one["added"] for one in merged.values()] == [1, 1]
    assert run("trials", "export", "c", "c.csv.gz", "--json")["trials"] == 2
    options = ("--task", "digits", "--board", "m4", "--json")
    assert run("trials", "import", "d", "c.csv.gz", *options)["added"] == 2
    with Store.read(Path("runs/c")) as c, Store.read(Path("runs/d")) as d:
        assert c.trials() == d.trials()
        assert len(c.trials()) == 2
    with pytest.raises(UserError, match="parquet"):
        run("trials", "export", "c", "c.xls")
    with pytest.raises(UserError, match=r"none\.csv"):
        run("trials", "import", "e", "none.csv", *options)
    Path("notes.csv").write_text("a,b\r\n1,2\r\n", "utf-8")
    with pytest.raises(UserError, match="not a table of a run"):
        run("trials", "import", "e", "notes.csv")
    for option, other in (("--task", "kws"), ("--board", "m7"), ("--seed", "3")):
        with pytest.raises(UserError, match=f"{option} {other}: c.csv.gz is from a run"):
            run("trials", "import", "e", "c.csv.gz", option, other)
    with pytest.raises(UserError, match="into itself"):
        run("trials", "merge", "a", "b", "a")
    with Store.open(Path("runs/other"), replace(identity, seed=9)):
        pass
    with pytest.raises(UserError, match="seed 9"):
        run("trials", "merge", "f", "a", "other")
    assert not Path("runs/e").exists()
    assert not Path("runs/f").exists()


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """The commands, run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    cli_store.register(app, Path("runs"))
    return app


def call(app: typer.Typer, *arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    if done.exception is not None:
        raise done.exception
    return done.stdout


def test_import_needs_to_be_told_nothing_that_the_table_tells(commands: typer.Typer) -> None:
    identity = RunIdentity("kws", "m7", 5, "older board file")
    with Store.open(Path("a"), identity) as store:
        store.add(measured(1, BASELINE))
        export_store(store, Path("a.csv"))
    call(commands, "trials", "import", "b", "a.csv")
    with Store.read(Path("runs/b")) as store:
        assert store.identity == identity
        assert store.trials() == (measured(1, BASELINE),)
    with Store.open(Path("runs/c"), replace(identity, board_sha256="newer board file")):
        pass
    with pytest.raises(UserError, match=r"another boards/m7\.toml.*run of its own"):
        call(commands, "trials", "import", "c", "a.csv")


def test_a_failed_import_leaves_no_run(commands: typer.Typer) -> None:
    example(Path("a"))
    table = exported(Path("a"))
    good = table.read_bytes()
    change(table, {1: {"violation": "-1"}})
    with pytest.raises(UserError, match="violation"):
        call(commands, "trials", "import", "b", "a/run.csv")
    change(table, {}, without="number")
    with pytest.raises(UserError, match="number"):
        call(commands, "trials", "import", "b", "a/run.csv")
    table.write_bytes(good.splitlines(keepends=True)[0])
    with pytest.raises(UserError, match="no trials"):
        call(commands, "trials", "import", "b", "a/run.csv")
    assert not Path("runs").exists()


def network(path: Path, content: str) -> bytes:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("data", content)
    return path.read_bytes()


def test_import_takes_the_original_along(commands: typer.Typer) -> None:
    example(Path("a"))
    table = exported(Path("a"), "seed-1.csv.gz")
    one, two = network(Path("one.pt"), "1"), network(Path("two.pt"), "2")
    call(commands, "trials", "import", "none", str(table))
    assert not Path("runs/none/original.pt").exists()
    call(commands, "trials", "import", "named", str(table), "--original", "one.pt")
    assert Path("runs/named/original.pt").read_bytes() == one
    Path("a/seed-1.pt").write_bytes(two)
    call(commands, "trials", "import", "beside", str(table))
    assert Path("runs/beside/original.pt").read_bytes() == two
    with pytest.raises(UserError, match=r"runs/named/original\.pt differs from"):
        call(commands, "trials", "import", "named", str(table))
    Path("three.pt").write_text("notes")
    for wrong in ("three.pt", "four.pt"):
        with pytest.raises(UserError, match=f"{wrong} is missing or not a network"):
            call(commands, "trials", "import", "new", str(table), "--original", wrong)
    assert not Path("runs/new").exists()
