"""Runs as tables and runs merged: nothing lost, nothing replaced, differences told."""

from __future__ import annotations

import csv
import gzip
import json
import sqlite3
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_store import IDENTITY, make_store
from trials import BASELINE, infeasible, measured, pruned, trials
from typer.testing import CliRunner

from compress.errors import UserError
from hil import cli_store
from hil.artifacts import keep, kept
from hil.board import board_sha256, load_board, without_limits
from hil.store import Final, RunIdentity, Store
from hil.store_merge import Conflict, Merged, merge
from hil.store_table import export_store, import_rows, import_table, read_run
from hil.table_file import SUFFIXES

FINAL = Final(number=1, split="test", correct=190, total=200, accuracy=0.1 + 0.2)
some_trials = st.lists(
    trials,
    max_size=4,
    unique_by=(lambda trial: trial.number, lambda trial: (trial.genome.key, trial.fidelity)),
)


def exported(folder: Path, name: str = "run.csv") -> Path:
    with Store.read(folder) as store:
        export_store(store, folder / name)
    return folder / name


def example(folder: Path) -> None:
    with Store.open(folder, IDENTITY) as store:
        store.add(measured(1, BASELINE))
        store.add(infeasible(2, pruned(0.5), reason='too "big",\r\nby far'))
        store.add(measured(3, pruned(0.5), fidelity=0.25, state="screened", measurement=None))
        store.add_final(FINAL)
        store.set_original("test", 0.96)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(some_trials, st.sampled_from(SUFFIXES))
def test_import_gives_what_was_exported(tmp_path_factory, stored, suffix) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("run")
    finals = [replace(FINAL, number=t.number, split=s) for t in stored for s in ("test", "val")]
    with Store.open(folder / "a", IDENTITY) as store:
        for trial in stored:
            store.add(trial)
        for final in finals:
            store.add_final(final)
        for split in ("val", "test"):
            store.set_original(split, 1 / 3)
        export_store(store, folder / f"run{suffix}")
        wanted = (store.trials(), store.finals(), store.originals() if stored else {})
    with Store.open(folder / "b", IDENTITY) as store:
        assert import_rows(store, folder / f"run{suffix}") == len(stored)
        assert (store.trials(), store.finals(), store.originals()) == wanted
        assert import_rows(store, folder / f"run{suffix}") == 0
        assert (store.trials(), store.finals(), store.originals()) == wanted


def test_columns_for_people(tmp_path: Path) -> None:
    example(tmp_path)
    with exported(tmp_path).open(newline="", encoding="utf-8") as file:
        first, second, third = csv.DictReader(file)
    assert first["number"] == "1"
    assert first["order"] == "Q"
    assert (first["flash_bytes"], first["ram_bytes"], first["count"]) == (
        "30000",
        "8000",
        "1000000",
    )
    assert (first["counter"], first["model_cycles"]) == ("insn", "")
    assert first["total_seconds"] == "1.75"
    assert (first["test_correct"], first["test_accuracy"]) == ("190", "0.30000000000000004")
    assert (second["state"], second["count"], second["test_correct"]) == ("infeasible", "", "")
    assert (third["fidelity"], third["state"]) == ("0.25", "screened")
    assert {row["original_test"] for row in (first, second, third)} == {"0.96"}
    assert {row["original_val"] for row in (first, second, third)} == {""}


def test_equal_runs_make_equal_files(tmp_path: Path) -> None:
    contents = set()
    for name, times in (("a", 1), ("b", 3)):
        folder = tmp_path / name
        with Store.open(folder, IDENTITY) as store:
            for number in range(1, 200):
                store.add(measured(number, pruned(1 / number)))
        for _ in range(times):
            contents.add(exported(folder, f"{name}.csv.gz").read_bytes())
    (content,) = contents
    assert len(content) * 20 < len(gzip.decompress(content))


def test_what_is_there_stays(tmp_path: Path) -> None:
    example(tmp_path / "a")
    make_store(tmp_path / "b", measured(1, pruned(0.25)), measured(2, BASELINE, accuracy=0.9))
    table = exported(tmp_path / "a")
    with Store.open(tmp_path / "b", IDENTITY) as store:
        merged = import_table(store, read_run(table))
        assert (merged.added, merged.known) == (2, 1)
        assert {(c.number, c.their_number, c.quantity) for c in merged.conflicting} == {
            (2, 1, "accuracy")
        }
        assert [t.number for t in store.trials()] == [1, 2, 3, 4]
        found = store.find(BASELINE)
        assert found is not None
        assert found.accuracy == 0.9
        assert store.finals() == ()  # those of a trial that came out otherwise


@pytest.mark.parametrize("field", ["task", "board", "seed", "board_sha256"])
def test_table_of_another_run_is_refused(tmp_path: Path, field: str) -> None:
    example(tmp_path / "a")
    changed = 7 if field == "seed" else "other"
    other = RunIdentity(**{**asdict(IDENTITY), field: changed})
    with (
        Store.open(tmp_path / "b", other) as store,
        pytest.raises(UserError, match=f"is of a run .*{changed}"),
    ):
        import_rows(store, exported(tmp_path / "a"))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "spoil", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b"\xff" * 99]
)
def test_damaged_table_adds_nothing(tmp_path: Path, suffix: str, spoil) -> None:  # type: ignore[no-untyped-def]
    example(tmp_path / "a")
    table = exported(tmp_path / "a", f"run{suffix}")
    table.write_bytes(spoil(table.read_bytes()))
    with Store.open(tmp_path / "b", IDENTITY) as store:
        with pytest.raises(UserError, match=table.name):
            import_rows(store, table)
        assert store.trials() == ()


def test_row_that_is_no_trial_is_named(tmp_path: Path) -> None:
    example(tmp_path / "a")
    table = exported(tmp_path / "a")
    table.write_text(table.read_text(encoding="utf-8").replace("screened", "melted"), "utf-8")
    with (
        Store.open(tmp_path / "b", IDENTITY) as store,
        pytest.raises(UserError, match=r"row 4.*melted"),
    ):
        import_rows(store, table)


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("accuracy", "95"),
        ("accuracy", "nan"),
        ("accuracy", "-0.1"),
        ("accuracy", ""),
        ("accuracy", "good"),
        ("fidelity", "7"),
        ("epochs", "-1"),
        ("violation", "inf"),
        ("number", "1.5"),
        ("number", "-1"),
        ("seed", ""),
        ("state", "boiled"),
        ("measurement", "null"),
        ("measurement", '{"counter": "insn", "count": "many"}'),
        ("seconds", '{"train": "long"}'),
        ("seconds", '{"train": NaN}'),
        ("seconds", '{"train": -1}'),
        ("costs", "[{]"),
        ("test_accuracy", "95"),
        ("test_accuracy", ""),
        ("test_correct", "201"),
        ("test_total", "two hundred"),
        ("original_test", "96"),
    ],
)
def test_cell_that_cannot_be_is_named(tmp_path: Path, column: str, cell: str) -> None:
    example(tmp_path / "a")
    table = exported(tmp_path / "a")
    change(table, {0: {column: cell}})
    with Store.open(tmp_path / "b", IDENTITY) as store:
        with pytest.raises(UserError, match=rf"row 2, column {column}: ") as error:
            import_rows(store, table)
        assert repr(cell) in str(error.value)
        assert store.trials() == ()


def change(table: Path, changes: dict[int, dict[str, str]], without: str = "") -> None:
    """Overwrite cells by row; leave out a column."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for index, cells in changes.items():
        rows[index] |= cells
    with table.open("w", newline="", encoding="utf-8") as file:
        columns = [name for name in rows[0] if name != without]
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def test_table_of_something_else_is_refused(tmp_path: Path) -> None:
    example(tmp_path / "a")
    table = exported(tmp_path / "a")
    change(table, {}, without="genome")
    with pytest.raises(UserError, match=r"no column genome; hil export"):
        read_run(table)
    table.write_text("name,age\r\nAnn,7\r\n", "utf-8")
    with pytest.raises(UserError, match=r"no column number, task.*hil export"):
        read_run(table)
    example(tmp_path / "a")
    table = exported(tmp_path / "a")
    change(table, {2: {"seed": "2"}})
    with pytest.raises(UserError, match="row 4: of another run"):
        read_run(table)


def test_merge_numbers_on_and_tells_what_differs(tmp_path: Path) -> None:
    make_store(tmp_path / "a", measured(1, BASELINE), measured(2, pruned(0.5), count=7))
    with Store.open(tmp_path / "b", IDENTITY) as store:
        store.add(measured(1, BASELINE))
        store.add(measured(2, pruned(0.25)))
        store.add(measured(3, pruned(0.5), count=8))
        keep(store.folder, 2, b"network")
        store.add_final(FINAL)
        store.add_final(replace(FINAL, number=2))
        store.add_final(replace(FINAL, number=3))
        store.set_original("val", 0.9)
    with Store.open(tmp_path / "a", IDENTITY) as target, Store.read(tmp_path / "b") as source:
        conflict = Conflict(2, 3, "count", 7, 8)
        assert merge(target, source) == Merged(1, 2, (conflict,))
        assert target.trials() == (
            measured(1, BASELINE),
            measured(2, pruned(0.5), count=7),
            measured(3, pruned(0.25)),
        )
        assert kept(target.folder, 3).read_bytes() == b"network"
        assert target.finals() == (FINAL, replace(FINAL, number=3))
        assert target.originals() == {"val": 0.9}
        assert merge(target, source) == Merged(0, 3, (conflict,))
        with pytest.raises(UserError, match="into itself"):
            merge(target, target)


def test_merge_brings_the_networks_that_a_table_could_not(tmp_path: Path) -> None:
    other = measured(3, pruned(0.5), program_sha256="another")
    make_store(tmp_path / "a", measured(1, BASELINE), measured(2, pruned(0.25)), other)
    keep(tmp_path / "a", 2, b"ours")
    make_store(tmp_path / "b", *(measured(n, pruned(1 / n)) for n in (2, 4)), measured(7, BASELINE))
    for number in (2, 4, 7):
        keep(tmp_path / "b", number, b"theirs")
    with Store.open(tmp_path / "a", IDENTITY) as target, Store.read(tmp_path / "b") as source:
        merge(target, source)
    networks = {path.name: path.read_bytes() for path in (tmp_path / "a" / "trials").iterdir()}
    assert networks == {"0001.tflite": b"theirs", "0002.tflite": b"ours"}


def test_merge_brings_the_original_and_refuses_another(tmp_path: Path) -> None:
    for name, weights in (("a", None), ("b", b"weights"), ("c", b"others")):
        make_store(tmp_path / name, measured(1, pruned(1 / ord(name))))
        if weights:
            (tmp_path / name / "original.pt").write_bytes(weights)
    with Store.open(tmp_path / "a", IDENTITY) as target:
        with Store.read(tmp_path / "b") as source:
            merge(target, source)
            merge(target, source)
        with (
            Store.read(tmp_path / "c") as source,
            pytest.raises(UserError, match=r"a/original\.pt is another network than .*c/original"),
        ):
            merge(target, source)
        assert target.count() == 2
    assert (tmp_path / "a" / "original.pt").read_bytes() == b"weights"


def test_merge_of_another_run_is_refused(tmp_path: Path) -> None:
    make_store(tmp_path / "a")
    with Store.open(tmp_path / "b", replace(IDENTITY, seed=2)) as store:
        store.add(measured(1, BASELINE))
    with Store.open(tmp_path / "a", IDENTITY) as target, Store.read(tmp_path / "b") as source:
        with pytest.raises(UserError, match="seed 2"):
            merge(target, source)
        assert target.trials() == ()


def test_failure_in_the_middle_adds_nothing(tmp_path: Path) -> None:
    with Store.open(tmp_path, IDENTITY) as store:
        with pytest.raises(sqlite3.IntegrityError), store.together():  # noqa: PT012
            store.add(measured(1, BASELINE))
            store.add(measured(1, pruned(0.25)))
        assert store.count() == 0
        assert store.add(measured(1, pruned(0.5)))
    with Store.read(tmp_path) as store:
        assert store.trials() == (measured(1, pruned(0.5)),)


def test_energy_and_originals(tmp_path: Path) -> None:
    with Store.open(tmp_path, IDENTITY) as store:
        with pytest.raises(ValueError, match="session"):
            store.add_energy(1.0)
        store.begin_session(0.9, "random")
        store.add_energy(1.5)
        store.add_energy(2.0)
        store.begin_session(0.9)
        store.add_energy(0.25)
        assert store.used_joules() == 3.75
        assert [(s.engine, s.energy_j) for s in store.sessions()] == [("random", 3.5), ("", 0.25)]
        assert store.set_original("val", 0.9)
        assert not store.set_original("val", 0.8)
        assert store.originals() == {"val": 0.9}


def test_trials_of_one_fidelity(tmp_path: Path) -> None:
    example(tmp_path)
    with Store.read(tmp_path) as store:
        assert [t.number for t in store.trials(1.0)] == [1, 2]
        assert [t.number for t in store.trials(0.25)] == [3]
        assert [t.number for t in store.trials()] == [1, 2, 3]


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
    merged = run("merge", "c", "a", "b", "--json")["merged"]
    assert [one["added"] for one in merged.values()] == [1, 1]
    assert run("export", "c", "c.csv.gz", "--json")["trials"] == 2
    options = ("--task", "digits", "--board", "m4", "--json")
    assert run("import", "d", "c.csv.gz", *options)["added"] == 2
    with Store.read(Path("runs/c")) as c, Store.read(Path("runs/d")) as d:
        assert c.trials() == d.trials()
        assert len(c.trials()) == 2
    with pytest.raises(UserError, match="parquet"):
        run("export", "c", "c.xls")
    with pytest.raises(UserError, match=r"none\.csv"):
        run("import", "e", "none.csv", *options)
    Path("notes.csv").write_text("a,b\r\n1,2\r\n", "utf-8")
    with pytest.raises(UserError, match="no table of a run"):
        run("import", "e", "notes.csv")
    for option, other in (("--task", "kws"), ("--board", "m7"), ("--seed", "3")):
        with pytest.raises(UserError, match=f"{option} {other}: c.csv.gz is of a run"):
            run("import", "e", "c.csv.gz", option, other)
    with pytest.raises(UserError, match="into itself"):
        run("merge", "a", "b", "a")
    with Store.open(Path("runs/other"), replace(identity, seed=9)):
        pass
    with pytest.raises(UserError, match="seed 9"):
        run("merge", "f", "a", "other")
    assert not Path("runs/e").exists()
    assert not Path("runs/f").exists()


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """The commands, in an empty folder."""
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
    call(commands, "import", "b", "a.csv")
    with Store.read(Path("runs/b")) as store:
        assert store.identity == identity
        assert store.trials() == (measured(1, BASELINE),)
    with Store.open(Path("runs/c"), replace(identity, board_sha256="newer board file")):
        pass
    with pytest.raises(UserError, match=r"another boards/m7\.toml.*run of its own"):
        call(commands, "import", "c", "a.csv")


def test_a_failed_import_leaves_no_run(commands: typer.Typer) -> None:
    example(Path("a"))
    table = exported(Path("a"))
    good = table.read_bytes()
    change(table, {1: {"violation": "-1"}})
    with pytest.raises(UserError, match="violation"):
        call(commands, "import", "b", "a/run.csv")
    change(table, {}, without="number")
    with pytest.raises(UserError, match="number"):
        call(commands, "import", "b", "a/run.csv")
    table.write_bytes(good.splitlines(keepends=True)[0])
    with pytest.raises(UserError, match="no trials"):
        call(commands, "import", "b", "a/run.csv")
    assert not Path("runs").exists()


def network(path: Path, content: str) -> bytes:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("data", content)
    return path.read_bytes()


def test_import_takes_the_original_along(commands: typer.Typer) -> None:
    example(Path("a"))
    table = exported(Path("a"), "seed-1.csv.gz")
    one, two = network(Path("one.pt"), "1"), network(Path("two.pt"), "2")
    call(commands, "import", "none", str(table))
    assert not Path("runs/none/original.pt").exists()
    call(commands, "import", "named", str(table), "--original", "one.pt")
    assert Path("runs/named/original.pt").read_bytes() == one
    Path("a/seed-1.pt").write_bytes(two)
    call(commands, "import", "beside", str(table))
    assert Path("runs/beside/original.pt").read_bytes() == two
    with pytest.raises(UserError, match=r"runs/named/original\.pt is another network"):
        call(commands, "import", "named", str(table))
    Path("three.pt").write_text("notes")
    for wrong in ("three.pt", "four.pt"):
        with pytest.raises(UserError, match=f"{wrong} is missing or no network"):
            call(commands, "import", "new", str(table), "--original", wrong)
    assert not Path("runs/new").exists()


def test_limits_that_differ_are_not_blamed_on_the_board_file(tmp_path: Path) -> None:
    board = load_board("m4")
    identity = RunIdentity("digits", "m4", 0, board_sha256(without_limits(board)))
    with Store.open(tmp_path, identity):
        pass
    with pytest.raises(UserError) as error:
        Store.open(tmp_path, replace(identity, board_sha256=board_sha256(board)))
    assert "today's boards/m4.toml and --limits none" in str(error.value)
    assert "the same --limits" in str(error.value)
    assert "another boards" not in str(error.value)


LOGS = sorted((Path(__file__).parents[2] / "docs" / "results").glob("study-*/seed-*.csv.gz"))


@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.name)
def test_logged_studies_can_be_gone_on_with(log: Path) -> None:
    table = read_run(log)
    assert table.identity is not None
    assert table.identity.board_sha256 == board_sha256(load_board(table.identity.board))
    assert len(table.trials) > 500
    assert set(table.originals) == {"val", "test"}
