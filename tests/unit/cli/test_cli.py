"""Bad input gives one line on stderr and exit code 2, before anything is written."""

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from compress.errors import HilError, UnsupportedLayer, UserError
from helpers import commands
from hil.board import board_sha256, load_board
from hil.cli.main import errors_as_lines, fail
from hil.errors import NoReply
from hil.store.store import RunIdentity, Store


def hil(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return commands.hil(folder, *arguments, environment=environment, limit_s=120)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--board", "m9"], ["m9", "m3", "m4", "m7"]),
        (["--task", "faces"], ["faces", "digits", "kws"]),
        (["--accuracy", "86"], ["86", "0.86", "share of 1"]),
        (["--accuracy", "0"], ["0 < accuracy < 1"]),
        (["--minutes", "0"], ["--minutes", "more than 0"]),
        (["--trials", "-3"], ["--trials", "-3"]),
        (["--minutes", "nan"], ["--minutes"]),
        (["--minutes", "inf"], ["--minutes", "525600"]),
        (["--minutes", "1e300"], ["--minutes", "525600"]),
        (["--seed", "x"], ["--seed"]),
        (["--seed", "-1"], ["--seed", "to 0"]),
        (["--seed", "99999999999999999999"], ["--seed", "2147483647"]),
        (["--limits", "some"], ["--limits", "some", "board", "none"]),
        (["--run", "../elsewhere"], ["--run", "../elsewhere", "folder name", "runs/kws-m4"]),
        (["--run", ".hidden"], ["--run", ".hidden", "beginning with a dot", "runs/kws-m4"]),
        (["--board", "../elsewhere"], ["board '../elsewhere'", "m3", "m4"]),
        (["--task", "a/b"], ["task 'a/b'", "digits", "kws"]),
    ],
)
def test_bad_options(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    done = hil(tmp_path, "evolve", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    for word in words:
        assert word in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["study", "--minutes", "inf"],
        ["study", "--minutes", "nan"],
        ["study", "--epochs", "inf"],
        ["study", "--seeds", "99999999999999999999"],
        ["sensitivity", "--seed", "-1"],
        ["bench", "--compare", "old", "new", "--tolerance", "nan"],
        ["calibrate", "--board", "nucleo-f446re", "--supply-v", "3.3", "--loop-s", "inf"],
        ["energy", "trace.csv", "--supply-v", "nan"],
    ],
)
def test_numbers_out_of_bounds_are_refused_by_every_command(
    tmp_path: Path, arguments: list[str]
) -> None:
    done = hil(tmp_path, *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert arguments[-2] in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evolve", "--accuracy", "abc"], ["--accuracy", "'abc'", "number"]),
        (["evolve", "--trials", "1.5"], ["--trials", "'1.5'", "integer"]),
        (["evolve", "--processes", "0"], ["--processes", "'0'", "greater than or equal to 1"]),
        (["evolve", "--trial", "3"], ["--trial", "--trials", "hil evolve --help"]),
        (["evolve", "--board"], ["--board", "requires an argument"]),
        (["evolve", "extra"], ["extra", "hil evolve --help"]),
        (["evolv"], ["evolv", "hil --help"]),
        (["farm", "x"], ["'x'", "hil farm --help"]),
        (["bench", "--compare", "a"], ["--compare", "2"]),
        (["calibrate"], ["--board", "hil calibrate --help"]),
    ],
)
def test_what_typer_refuses_is_one_line(
    tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    done = hil(tmp_path, *arguments, COLUMNS="40")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("hil: error: ")
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("MODEL.TFLITE", b"", "MODEL.TFLITE: the file is empty: copy or download it again"),
        ("a.lite", b"\x1f\x8b" + bytes(20), "a.lite: a gzip file, not a .tflite file: unpack it"),
    ],
)
def test_a_file_that_is_no_model_is_one_line(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    done = hil(tmp_path, "bench", name)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"hil: error: {words}")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("no"), "hil: error: no\n"),
        (UnsupportedLayer("conv_0: no"), "hil: error: conv_0: no\n"),
        (NoReply("none"), "hil: error: NoReply: none\n"),
    ],
)
def test_every_error_has_the_same_prefix(
    error: HilError, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        fail(error)
    assert ended.value.code == error.exit_code
    assert capsys.readouterr().err == line


@pytest.mark.parametrize("arguments", [["--help"], ["evolve", "--help"], ["farm", "--help"]])
def test_help_is_shown_and_nothing_is_wrong(tmp_path: Path, arguments: list[str]) -> None:
    done = hil(tmp_path, *arguments)
    assert done.returncode == 0
    assert "╭─ Options" in done.stdout
    assert done.stderr == ""


def test_a_command_without_its_arguments_shows_help(tmp_path: Path) -> None:
    done = hil(tmp_path, "farm")
    assert done.returncode == 2
    assert "scheduler" in done.stdout + done.stderr
    assert "error" not in done.stdout + done.stderr


def test_a_missing_compiler_is_named_with_its_package(tmp_path: Path) -> None:
    done = hil(tmp_path, "evolve", PATH=str(tmp_path))
    assert done.returncode == 2
    assert "arm-none-eabi-gcc not found" in done.stderr
    assert "gcc-arm-none-eabi" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_missing_emulator_is_named_before_anything_is_written(tmp_path: Path) -> None:
    for tool in ("arm-none-eabi-gcc", "cc"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    for command in ("evolve", "study"):
        work = tmp_path / command
        work.mkdir()
        done = hil(work, command, PATH=str(tmp_path))
        assert done.returncode == 2, done.stderr
        assert "qemu-system-arm not found" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert list(work.iterdir()) == []


def test_a_farm_that_is_not_there_changes_no_run(tmp_path: Path) -> None:
    board = load_board("m3")
    identity = RunIdentity("digits", "m3", 0, board_sha256(board))
    with Store.open(tmp_path / "runs" / "digits-m3", identity) as store:
        store.begin_session(0.5)
    done = hil(tmp_path, "evolve", "--accuracy", "0.9", "--farm", "foo")
    assert done.returncode == 2
    assert "no farm at 'foo'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    with Store.read(tmp_path / "runs" / "digits-m3") as store:
        assert len(store.sessions()) == 1


def test_a_run_of_another_task_is_left_alone(tmp_path: Path) -> None:
    with Store.open(tmp_path / "runs" / "mine", RunIdentity("kws", "m3", 0, "00")) as store:
        store.begin_session(0.9)
    before = store.path.read_bytes()
    done = hil(tmp_path, "evolve", "--run", "mine")
    assert done.returncode == 2
    assert "kws" in done.stderr
    assert "digits" in done.stderr
    assert store.path.read_bytes() == before
    assert len(done.stderr.strip().splitlines()) == 1


def test_trials_without_their_original_are_not_gone_on_with(tmp_path: Path) -> None:
    from helpers.trials import BASELINE, measured
    from hil.board import board_sha256, load_board
    from hil.store.store import RunIdentity, Store

    identity = RunIdentity("digits", "m3", 0, board_sha256(load_board("m3")))
    with Store.open(tmp_path / "runs" / "mine", identity) as store:
        store.add(measured(1, BASELINE))
    done = hil(tmp_path, "evolve", "--run", "mine", "--trials", "1")
    assert done.returncode == 2
    assert "original.pt is missing" in done.stderr
    assert "--original" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    with Store.read(tmp_path / "runs" / "mine") as store:
        assert store.sessions() == ()
    assert not (tmp_path / "runs" / "mine" / "original.pt").exists()


def test_an_unknown_run_cannot_be_reported(tmp_path: Path) -> None:
    done = hil(tmp_path, "report", "nothing")
    assert done.returncode == 2
    assert "no run in" in done.stderr


def test_a_trial_without_a_network_cannot_be_measured(tmp_path: Path) -> None:
    from dataclasses import replace

    from helpers.trials import BASELINE, infeasible, measured, pruned
    from hil.store.store import RunIdentity, Store

    screened = replace(
        measured(1, BASELINE), fidelity=0.0, state="screened", measurement=None, accuracy=0.9
    )
    with Store.open(tmp_path / "runs" / "mine", RunIdentity("digits", "m3", 0, "00")) as store:
        for trial in (screened, infeasible(2, pruned(0.5), "no room"), measured(3, BASELINE)):
            store.add(trial)
    for number, words in (
        (1, ["trial 1", "screened only"]),
        (2, ["trial 2", "no room"]),
        (3, ["0003.tflite"]),
        (4, ["trial 4", "1 to 3"]),
    ):
        done = hil(tmp_path, "bench", f"mine:{number}")
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        for word in words:
            assert word in done.stderr


def test_help_names_every_option(tmp_path: Path) -> None:
    done = hil(tmp_path, "evolve", "--help", COLUMNS="200")
    for option in ("--board", "--task", "--accuracy", "--minutes", "--trials", "--seed", "--json"):
        assert option in done.stdout


def test_only_an_unanswered_question_is_told_as_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Typer raises Abort for both: a prompt at the end of the input, and any EOFError."""
    app = typer.Typer()
    app.command("ask")(lambda: typer.prompt("current", err=True))

    @app.command("damaged")
    def damaged() -> None:
        raise EOFError("Ran out of input")

    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(SystemExit), errors_as_lines():
        app(["ask"], standalone_mode=False)
    assert "before the question was answered" in capsys.readouterr().err
    with pytest.raises(EOFError, match="Ran out"), errors_as_lines():
        app(["damaged"], standalone_mode=False)
    assert "question" not in capsys.readouterr().err
