"""Export and import of runs as tables: nothing is lost or replaced."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from compress.errors import UserError
from helpers.checkout import ROOT
from helpers.stores import FINAL, IDENTITY, change, example, exported, make_store
from helpers.trial_strategies import trials
from helpers.trials import BASELINE, measured, pruned
from hil.board import board_sha256, load_board
from hil.store.store import RunIdentity, Store
from hil.store.table import export_store, import_file, import_table, read_run_table
from hil.store.table_file import SUFFIXES

some_trials = st.lists(
    trials,
    max_size=4,
    unique_by=(
        lambda trial: trial.number,
        lambda trial: (trial.genome.key, trial.fidelity, trial.repeat),
    ),
)


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
            store.set_original_accuracy(split, 1 / 3)
        export_store(store, folder / f"run{suffix}")
        wanted = (store.trials(), store.finals(), store.original_accuracies() if stored else {})
    with Store.open(folder / "b", IDENTITY) as store:
        assert import_file(store, folder / f"run{suffix}") == len(stored)
        assert (store.trials(), store.finals(), store.original_accuracies()) == wanted
        assert import_file(store, folder / f"run{suffix}") == 0
        assert (store.trials(), store.finals(), store.original_accuracies()) == wanted


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
        merged = import_table(store, read_run_table(table))
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
        pytest.raises(UserError, match=f"is from a run .*{changed}"),
    ):
        import_file(store, exported(tmp_path / "a"))


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
            import_file(store, table)
        assert store.trials() == ()


def test_a_step_may_have_any_name(tmp_path: Path) -> None:
    trial = measured(1, BASELINE, seconds={"stage": 1.5, "counter": 0.25})
    make_store(tmp_path, trial)
    assert read_run_table(exported(tmp_path)).trials == (trial,)


def test_what_a_spreadsheet_saves_is_read(tmp_path: Path) -> None:
    example(tmp_path)
    table = exported(tmp_path)
    wanted = read_run_table(table)
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes() + b"\r\n")
    assert read_run_table(table) == wanted


def test_row_that_is_cut_is_named(tmp_path: Path) -> None:
    example(tmp_path)
    table = exported(tmp_path)
    table.write_bytes(table.read_bytes() + b"4,cut\r\n")
    with pytest.raises(UserError, match=r"run\.csv is damaged.*row 5 has 2 cells, the header \d"):
        read_run_table(table)


def test_row_that_is_no_trial_is_named(tmp_path: Path) -> None:
    example(tmp_path / "a")
    table = exported(tmp_path / "a")
    table.write_text(table.read_text(encoding="utf-8").replace("screened", "melted"), "utf-8")
    with (
        Store.open(tmp_path / "b", IDENTITY) as store,
        pytest.raises(UserError, match=r"row 4.*melted"),
    ):
        import_file(store, table)


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
        ("number", "9" * 20),
        ("test_total", "9" * 20),
        ("seed", ""),
        ("state", "boiled"),
        ("measurement", "null"),
        ("measurement", '{"counter": "insn", "count": "many"}'),
        ("seconds", '{"train": "long"}'),
        ("seconds", '{"train": NaN}'),
        ("seconds", '{"train": -1}'),
        ("seconds", '{"train": 1e999}'),
        ("seconds", "[" * 100_000),
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
            import_file(store, table)
        assert repr(cell)[:50] in str(error.value)
        assert store.trials() == ()


@pytest.mark.parametrize(
    ("column", "path", "value", "named"),
    [
        ("measurement", ("count",), 10**400, "trial.measurement.count"),
        ("measurement", ("counter",), "x", "trial.measurement.counter is 'x', must be 'insn' or"),
        ("measurement", ("total",), 0, "measurement.total 0"),
        ("measurement", ("flash_bytes",), {"code": 0.5}, "trial.measurement.flash.parts.code"),
        ("measurement", ("right_by_class",), [None], "trial.measurement.right"),
        ("provenance", ("dirty",), [1], "trial.provenance.dirty is '[1]', must be bool"),
        ("provenance", ("board",), 4, "trial.provenance.board"),
        ("seconds", (), [1], "trial.seconds"),
        ("costs", (), [{"stage": "prune", "epochs": [], "seconds": 1}], "trial.costs.epochs"),
    ],
)
def test_a_value_of_another_type_is_named(
    tmp_path: Path, column: str, path: tuple[str, ...], value: object, named: str
) -> None:
    example(tmp_path / "a")
    table = exported(tmp_path / "a")
    with table.open(newline="", encoding="utf-8") as file:
        (first, *_) = csv.DictReader(file)
    cell = json.loads(first[column])
    for key in path:
        cell[key] = value
    change(table, {0: {column: json.dumps(cell if path else value)}})
    with pytest.raises(UserError, match="row 2") as error:
        read_run_table(table)
    assert named in str(error.value)


def test_a_small_file_of_much_text_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "run.csv.gz").write_bytes(gzip.compress(bytes(200 << 20), 1))
    with pytest.raises(UserError, match="holds more than 128 MiB"):
        read_run_table(tmp_path / "run.csv.gz")


def test_a_small_parquet_file_of_much_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that is stored once may be in any number of cells; so may a number."""
    monkeypatch.setattr("hil.store.table_file._LARGEST_BYTES", 1 << 20)
    monkeypatch.setattr("hil.store.table_file._MOST_CELLS", 100_000)
    long = ["genome" * 2000]
    path = tmp_path / "run.parquet"
    for column, words in (
        (pyarrow.array(long * 1000), "holds more than 1 MiB"),
        (pyarrow.array(long * 1000).dictionary_encode(), "holds more than 1 MiB"),
        (pyarrow.array([0] * 100_001), "at most 100000 cells"),
        (pyarrow.array([[n] * 300 for n in range(1000)]), "in 1 MiB, at most|holds more than 1"),
    ):
        parquet.write_table(pyarrow.table({"genome": column}), path, compression="zstd")
        assert path.stat().st_size < 1 << 20
        with pytest.raises(UserError, match=words):
            read_run_table(path)


def test_numbers_that_arrow_cannot_read_are_named(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    parquet.write_table(pyarrow.table({"number": [1]}), path)
    path.write_bytes(path.read_bytes()[:40] + bytes(40) + path.read_bytes()[80:])
    with pytest.raises(UserError, match=r"run\.parquet"):
        read_run_table(path)


def test_table_of_something_else_is_refused(tmp_path: Path) -> None:
    example(tmp_path / "a")
    table = exported(tmp_path / "a")
    change(table, {}, without="genome")
    with pytest.raises(UserError, match=r"no column genome; hil trials export"):
        read_run_table(table)
    table.write_text("name,age\r\nAnn,7\r\n", "utf-8")
    with pytest.raises(UserError, match=r"no column number, task.*hil trials export"):
        read_run_table(table)
    example(tmp_path / "a")
    table = exported(tmp_path / "a")
    change(table, {2: {"seed": "2"}})
    with pytest.raises(UserError, match="row 4: from another run"):
        read_run_table(table)


LOGS = sorted((ROOT / "docs" / "results").glob("study-*/seed-*.csv.gz"))


@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.name)
def test_logged_studies_can_be_gone_on_with(log: Path) -> None:
    table = read_run_table(log)
    assert table.identity is not None
    assert table.identity.board_sha256 == board_sha256(load_board(table.identity.board))
    assert len(table.trials) > 400
    assert set(table.originals) == {"val", "test"}
