"""Energy is power times time with an error bar, or None; calibrations are stored and checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from compress.errors import UserError
from hil.board import board_sha256, load_board
from hil.energy.calibration import CALIBRATION_FILE, calibrated, read_calibration, save_calibration
from hil.energy.energy import Energy, inference_energy
from hil.types import PowerFigure

CITED = PowerFigure(100.0, 2.0, 3.0, 50_000_000, "a paper, table 1")
BOARD = replace(load_board("nucleo-f446re"), name="mine", clock_hz=25_000_000, energy=CITED)


def test_a_cited_figure_gives_power_times_time_within_20_percent() -> None:
    # 5 Mcycles at the figure's 50 MHz are 0.1 s; 100 mW for 0.1 s are 10 mJ
    energy = inference_energy(BOARD, 5e6)
    assert energy is not None
    assert energy.microjoules == pytest.approx(10_000)
    assert (energy.low, energy.high) == (pytest.approx(8_000), pytest.approx(12_000))
    assert energy.source == "estimate: a paper, table 1"


def test_a_calibrated_figure_comes_first_and_is_within_5_percent() -> None:
    seen = PowerFigure(80.0, 2.0, 3.0, 50_000_000, "calibrated", error=0.05)
    energy = inference_energy(replace(BOARD, energy=seen), 5e6)
    assert energy == Energy(
        pytest.approx(8_000), pytest.approx(7_600), pytest.approx(8_400), "estimate: calibrated"
    )


def test_the_error_of_modelled_cycles_adds_to_that_of_the_power_as_squares() -> None:
    energy = inference_energy(BOARD, 5e6, cycles_error=0.15)
    assert energy is not None
    # 20 % and 15 %: sqrt(400 + 225) = 25 %, not 35 %
    assert (energy.low, energy.high) == (pytest.approx(7_500), pytest.approx(12_500))


def test_a_period_adds_what_sleeping_takes() -> None:
    energy = inference_energy(BOARD, 5e6, period_s=1.1)  # 0.1 s at 100 mW, 1 s at 2 mW
    assert energy is not None
    assert energy.microjoules == pytest.approx(12_000)
    assert "one inference per 1.1 s" in energy.source
    assert inference_energy(BOARD, 5e6, period_s=0.1) == replace(
        inference_energy(BOARD, 5e6), source="estimate: a paper, table 1; one inference per 0.1 s"
    )


def test_what_is_not_known_is_none_and_never_a_guess() -> None:
    assert inference_energy(replace(BOARD, energy=None), 5e6) is None
    assert inference_energy(BOARD, None) is None
    awake = replace(BOARD, energy=replace(CITED, idle_mw=None))
    assert inference_energy(awake, 5e6) is not None
    assert inference_energy(awake, 5e6, period_s=1.0) is None


def test_a_period_shorter_than_the_inference_is_the_users() -> None:
    with pytest.raises(UserError, match=r"0\.05 s is shorter than the inference, 0\.1 s"):
        inference_energy(BOARD, 5e6, period_s=0.05)


def test_a_calibration_is_kept_per_board(tmp_path: Path) -> None:
    other = replace(BOARD, name="nucleo-h7a3zi-q")
    assert read_calibration(BOARD, tmp_path) is None
    save_calibration(other, 120.0, 3.3, idle_mw=None, how="read by hand", folder=tmp_path)
    save_calibration(BOARD, 70.0, 3.0, idle_mw=1.0, how="first", folder=tmp_path)
    kept = save_calibration(BOARD, 80.5, 3.0, idle_mw=1.5, how='a "second" look', folder=tmp_path)
    assert read_calibration(BOARD, tmp_path) == kept
    assert (kept.active_mw, kept.idle_mw, kept.supply_v, kept.clock_hz) == (80.5, 1.5, 3.0, 25e6)
    assert kept.source.startswith("calibrated 2")
    assert kept.source.endswith(': a "second" look')
    untouched = read_calibration(other, tmp_path)
    assert untouched is not None
    assert (untouched.active_mw, untouched.idle_mw) == (120.0, None)


def test_a_calibrated_board_compares_with_its_former_self(tmp_path: Path) -> None:
    unknown = replace(BOARD, energy=None)
    assert calibrated(unknown, tmp_path) == unknown
    assert calibrated(BOARD, tmp_path) == BOARD
    kept = save_calibration(BOARD, 80.0, 3.0, idle_mw=None, how="read", folder=tmp_path)
    for board in (unknown, BOARD):
        assert calibrated(board, tmp_path).energy == kept
        assert board_sha256(calibrated(board, tmp_path)) == board_sha256(BOARD)
    assert kept.error == 0.05


@pytest.mark.parametrize("name", ["trace 😀.csv", "a\x7fb\tc\n", "half \ud83d", 'q"\\'])
def test_any_name_of_a_trace_is_read_back(tmp_path: Path, name: str) -> None:
    kept = save_calibration(BOARD, 80.0, 3.0, idle_mw=None, how=f"trace {name}", folder=tmp_path)
    seen = read_calibration(BOARD, tmp_path)
    assert seen is not None
    assert seen == replace(kept, source=seen.source)
    assert seen.source.endswith(f"trace {name.replace(chr(0xD83D), '?')}")


@pytest.mark.parametrize("foreign", ["x = 3", "[mine]\nread = 2026-02-03", "[mine]\nx = nan"])
def test_what_cannot_be_written_back_is_named_and_kept(tmp_path: Path, foreign: str) -> None:
    path = tmp_path / CALIBRATION_FILE
    path.write_text(f"{foreign}\n")
    with pytest.raises(UserError, match=r"calibration\.toml: .*hil calibrate.*remove"):
        save_calibration(
            replace(BOARD, name="other"), 80.0, 3.0, idle_mw=None, how="read", folder=tmp_path
        )
    assert path.read_text() == f"{foreign}\n"


def test_a_calibration_at_another_clock_does_not_count(tmp_path: Path) -> None:
    save_calibration(BOARD, 80.0, 3.0, idle_mw=None, how="read", folder=tmp_path)
    with pytest.raises(UserError, match="calibrated at 25000000 Hz, runs at 80000000 Hz now"):
        read_calibration(replace(BOARD, clock_hz=80_000_000), tmp_path)


@pytest.mark.parametrize(
    ("active_mw", "supply_v", "idle_mw", "words"),
    [
        (0.0, 3.3, None, "power 0"),
        (float("nan"), 3.3, None, "power nan"),
        (1.0, -3.3, None, "supply -3.3"),
        (1.0, 3.3, 0.0, "idle power 0"),
        (1.0, 3.3, 2.0, "more than active"),
    ],
)
def test_impossible_readings_are_refused_and_not_kept(
    tmp_path: Path, active_mw: float, supply_v: float, idle_mw: float | None, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        save_calibration(BOARD, active_mw, supply_v, idle_mw=idle_mw, how="read", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_emulated_board_cannot_be_calibrated(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="m4 is emulated"):
        save_calibration(load_board("m4"), 80.0, 3.0, idle_mw=None, how="read", folder=tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("active_mw = 80.0", "active_mw = -1"),
        ("active_mw = 80.0\n", ""),
        ("clock_hz = 25000000", 'clock_hz = "fast"'),
        ("how = ", "why = "),
        ('["mine"]', 'mine = 4\n["other"]'),
        ("supply_v = ", "supply_v == "),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, old: str, new: str) -> None:
    save_calibration(BOARD, 80.0, 3.0, idle_mw=None, how="read", folder=tmp_path)
    path = tmp_path / CALIBRATION_FILE
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(UserError) as caught:
        read_calibration(BOARD, tmp_path)
    assert str(path) in str(caught.value)
