"""`hil calibrate` saves a reading or the power in a trace; `hil energy` reads a trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from compress.errors import UserError
from hil.board import load_board
from hil.cli.energy import register
from hil.energy import calibration
from hil.energy.calibration import read_calibration
from hil.energy.meter_names import MeterChoice, MeterName
from hil.energy.power_monitor import PowerMonitor, Recording

BOARD = load_board("nucleo-f446re")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of calibration.toml in a folder of the test."""
    monkeypatch.setattr(calibration, "settings_folder", lambda: tmp_path)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A trace with two windows of 10 ms at 50 mA, and 1 mA before, between and after them."""
    rows = [f"{ms},{50_000 if 10 <= ms % 30 < 20 else 1000}" for ms in range(60)]
    path = tmp_path / "trace.csv"
    path.write_text("Timestamp(ms),Current(uA)\n" + "\n".join(rows) + "\n")
    return path


def run(*arguments: str, given: str = "") -> str:
    app = typer.Typer()
    register(app)
    done = CliRunner().invoke(app, list(arguments), input=given, catch_exceptions=True)
    if done.exception:
        raise done.exception
    return done.stdout


def calibrate(*arguments: str, given: str = "") -> str:
    return run("calibrate", "--board", BOARD.name, "--supply-v", "3.3", *arguments, given=given)


def test_a_reading_is_kept_and_shown() -> None:
    shown = calibrate("--current-ma", "48.8", "--idle-ma", "2")
    assert "161 mW while it computes, idle 6.6 mW" in shown
    figure = read_calibration(BOARD)
    assert figure is not None
    assert figure.active_mw == pytest.approx(161.04)
    assert figure.idle_mw == pytest.approx(6.6)
    assert figure.source.endswith(": 48.8 mA at 3.3 V read")


def test_a_trace_is_read_for_both_powers(trace: Path) -> None:
    shown = json.loads(calibrate("--trace", str(trace), "--threshold-mw", "50", "--json"))
    assert shown["active_mw"] == pytest.approx(165.0)
    assert shown["idle_mw"] == pytest.approx(3.3)
    assert shown["source"].endswith("trace trace.csv")


def test_a_loop_asks_for_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    looped: list[Any] = []
    monkeypatch.setattr(
        "hil.measure.continuous.loop_inferences",
        lambda graph, board, s: looped.append((board.name, s)) or 7,
    )
    shown = calibrate("--loop-s", "2.5", given="40\n")
    assert looped == [(BOARD.name, 2.5)]
    assert "132 mW while it computes, idle not known" in shown
    typed, told = calibrate("--loop-s", "2.5", "--json", given="50\n").splitlines()
    assert typed.strip() == "50"  # the question is on stderr; a terminal echoes the answer
    assert json.loads(told)["active_mw"] == pytest.approx(165.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give --current-ma, --trace"),
        (["--current-ma", "1", "--trace", "x.csv"], "not both"),
        (["--current-ma", "-1"], "must be above 0"),
        (["--current-ma", "1", "--supply-v", "-3"], "--supply-v -3: must be above 0"),
        (["--trace", "no.csv", "--idle-ma", "1"], "--idle-ma or --trace, not both"),
        (["--trace", "no.csv", "--trigger", "D0", "--threshold-mw", "1"], "--trigger, not both"),
        (["--trace", "no.csv", "--threshold-mw", "1"], "no.csv"),
        (["--current-ma", "1", "--threshold-mw", "1"], "are for a --trace"),
        (["--current-ma", "1", "--trigger", "D0"], "are for a --trace"),
    ],
)
def test_what_cannot_be_is_the_users(arguments: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        calibrate(*arguments)
    assert read_calibration(BOARD) is None


def test_an_emulated_board_is_refused_before_it_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "hil.measure.continuous.loop_inferences", lambda *_: pytest.fail("it computes")
    )
    with pytest.raises(UserError, match="board m4 is emulated"):
        run("calibrate", "--board", "m4", "--supply-v", "3.3", "--loop-s", "2.5", given="40\n")


def test_energy_per_inference(trace: Path) -> None:
    options = [str(trace), "--supply-v", "3.3", "--threshold-mw", "50", "--inferences", "10"]
    # 50 mA * 3.3 V * 10 ms = 1650 uJ for ten
    assert "165 µJ per inference (165 to 165): trace trace.csv, 2 windows" in run(
        "energy", *options
    )
    assert json.loads(run("energy", *options, "--json"))["microjoules"] == pytest.approx(165.0)
    with pytest.raises(UserError, match="--threshold-mw or --trigger, not both"):
        run("energy", *options, "--trigger", "D0")
    with pytest.raises(UserError, match="--supply-v -1"):
        run("energy", str(trace), "--supply-v", "-1", "--threshold-mw", "50")


class Recorded:
    """A meter whose recordings have ten windows of 10 ms at 50 mA and 3 V, D0 high in them."""

    name = "recorded"
    polls = 0

    def begin(self) -> None: ...

    def poll(self) -> int:
        self.polls += 1
        return self.polls

    def end(self) -> Recording:
        high = np.arange(300) % 30 // 10 == 1
        amps = np.where(high, 0.05, 0.001)
        return Recording(amps, np.full(300, 3.0), None, np.arange(300) * 1e-3, {"D0": high})

    def close(self) -> None: ...


@pytest.fixture
def meters(monkeypatch: pytest.MonkeyPatch) -> list[MeterChoice]:
    """The meters that were asked for; each is `Recorded`."""
    asked: list[MeterChoice] = []

    def opened(meter: MeterChoice) -> PowerMonitor:
        asked.append(meter)
        return PowerMonitor(Recorded())

    monkeypatch.setattr("hil.energy.meters.open_monitor", opened)
    return asked


def test_a_recording_is_made_and_saved(meters: list[MeterChoice], tmp_path: Path) -> None:
    saved = tmp_path / "saved.csv"
    options = ("--capture", "ppk2", "--supply-v", "3", "--seconds", "0.1", "--save", str(saved))
    shown = json.loads(run("energy", *options, "--inferences", "5", "--json"))
    assert meters == [MeterChoice(MeterName.PPK2, None, 3.0)]
    assert shown["microjoules"] == pytest.approx(1e6 * 0.05 * 3 * 0.01 / 5)
    assert "trace recorded, 10 windows of 5 inferences" in shown["source"]
    again = json.loads(run("energy", str(saved), "--inferences", "5", "--json"))
    assert again["microjoules"] == pytest.approx(shown["microjoules"])


def test_a_board_computes_while_it_is_recorded(
    meters: list[MeterChoice], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The board is an emulated one that passes for real, with the power of the recording."""
    monkeypatch.setattr("hil.measure.continuous.staging_capacity", lambda *_: 3)
    monkeypatch.setattr("hil.energy.calibration.check_measurable", lambda board: None)
    options = ("--capture", "lpm01a", "--meter-port", "/dev/ttyX", "--supply-v", "3.3")
    shown = json.loads(
        run("energy", *options, "--seconds", "0.2", "--board", "m3", "--trigger", "D0", "--json")
    )
    assert meters == [MeterChoice(MeterName.LPM01A, "/dev/ttyX", 3.3)]
    # A run are three samples and the inference before them.
    assert "10 windows of 4 inferences" in shown["source"]
    assert shown["microjoules"] == pytest.approx(1500 / 4)


@pytest.mark.usefixtures("meters")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "what is the trace"),
        (("t.csv", "--capture", "ppk2"), "t.csv or --capture, not both"),
        (("t.csv", "--board", "m4"), "are for --capture"),
        (("t.csv", "--save", "x.csv"), "are for --capture"),
        (("--capture", "ppk2", "--model", "kws"), "give --board, too"),
        (("--capture", "ppk2", "--board", "m4"), "its power cannot be measured"),
        (("--capture", "ppk2", "--trigger", "D0", "--threshold-mw", "5"), "not both"),
    ],
)
def test_options_of_a_recording(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(UserError, match=words):
        run("energy", *arguments)
