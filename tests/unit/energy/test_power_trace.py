"""Traces in several analyzers' formats yield the energy of the synthetic signal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compress.errors import UserError
from hil.energy.power_trace import (
    active_watts,
    energy_from_trace,
    idle_watts,
    windows,
)
from hil.energy.trace_csv import Trace, read_trace

STEP_S = 0.001
IDLE_W, ACTIVE_W = 0.002, 0.1
PULSES = ((10, 30), (40, 60), (70, 92))  # samples; the last inference takes 10 % more
TIMES_S = np.arange(100) * STEP_S
HIGH = np.zeros(100, bool)
for first, end in PULSES:
    HIGH[first:end] = True
WATTS = np.where(HIGH, ACTIVE_W, IDLE_W)
MICROJOULES = [1e6 * ACTIVE_W * STEP_S * (end - first) for first, end in PULSES]


def written(folder: Path, head: str, rows: list[str]) -> Path:
    path = folder / "trace.csv"
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def rows(line: str, *columns: object) -> list[str]:
    return [line.format(*values) for values in zip(*columns, strict=True)]  # type: ignore[call-overload]


AMPS = WATTS / 3.3
BITS = np.where(HIGH, "0X100--0", "0100----")  # D1 stays high; X: both states in one sample
STYLES = {
    "PPK2, bit strings": (
        "Timestamp(ms),Current(uA),D0-D7",
        rows("{:.3f},{:.6f},{}", TIMES_S * 1e3, AMPS * 1e6, BITS),
    ),
    "PPK2, a column per channel": (
        "Timestamp(ms),Current(uA),D0,D1",
        rows("{:.3f},{:.6f},0,{:d}", TIMES_S * 1e3, AMPS * 1e6, HIGH),
    ),
    "semicolons, decimal commas, a preamble, no trigger": (
        "Acquisition;2026\nFrequency (Hz);1000\n\nTime (us);Current (nA)",
        [row.replace(".", ",") for row in rows("{:.1f};{:.3f}", TIMES_S * 1e6, AMPS * 1e9)],
    ),
    "tabs, plain units": ("time\tcurrent\tcomment", rows("{:.4f}\t{:.9f}\tx", TIMES_S, AMPS)),
    "power": ("Time [s], Main power [mW]", rows("{:.4f}, {:.6f}", TIMES_S, WATTS * 1e3)),
    "current and voltage, underscores": (
        "time_ms,current_mA,voltage_V,trigger",
        rows("{:.4f},{:.6f},3.3,{:d}", TIMES_S * 1e3, AMPS * 1e3, HIGH),
    ),
    "units in small letters": (
        "time_us,current_ua,voltage_mv",
        rows("{:.1f},{:.6f},3300", TIMES_S * 1e6, AMPS * 1e6),
    ),
}


@pytest.mark.parametrize("style", STYLES)
def test_every_style_gives_the_same_powers(tmp_path: Path, style: str) -> None:
    trace = read_trace(written(tmp_path, *STYLES[style]), supply_v=3.3)
    np.testing.assert_allclose(trace.times_s, TIMES_S, atol=1e-9)
    np.testing.assert_allclose(trace.watts, WATTS, rtol=1e-6)


@pytest.mark.parametrize(
    "style", [style for style in STYLES if "PPK2" in style or "under" in style]
)
def test_the_only_channel_that_changes_is_the_trigger(tmp_path: Path, style: str) -> None:
    found = windows(read_trace(written(tmp_path, *STYLES[style]), supply_v=3.3))
    assert [(window.first, window.end) for window in found] == list(PULSES)


def test_the_first_bit_of_a_string_is_d0(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, *STYLES["PPK2, bit strings"]), supply_v=3.3)
    assert list(trace.digital) == [f"D{i}" for i in range(8)]
    assert [name for name, high in trace.digital.items() if high.all()] == ["D1"]
    np.testing.assert_array_equal(trace.digital["D2"], HIGH)


def pulsed(name: str = "t.csv", high: np.ndarray = HIGH, **digital: np.ndarray) -> Trace:
    return Trace(name, TIMES_S, np.where(high, ACTIVE_W, IDLE_W), digital)


def test_energy_is_the_median_of_the_windows_between_the_extremes() -> None:
    trace = pulsed(D3=HIGH)
    for found in (windows(trace, threshold_w=0.05), windows(trace, "D3"), windows(trace)):
        energy = energy_from_trace(trace, found)
        assert energy.microjoules == pytest.approx(np.median(MICROJOULES))
        assert energy.low == pytest.approx(min(MICROJOULES))
        assert energy.high == pytest.approx(max(MICROJOULES))
        assert energy.source == "trace t.csv, 3 windows"


def test_a_window_may_hold_a_batch_of_inferences() -> None:
    trace = pulsed()
    energy = energy_from_trace(trace, windows(trace, threshold_w=0.05), inferences=10)
    assert energy.microjoules == pytest.approx(np.median(MICROJOULES) / 10)
    assert energy.source.endswith("3 windows of 10 inferences")


def test_samples_hold_until_the_next_one() -> None:
    times_s = np.array([0.0, 1.0, 1.5, 4.5, 5.0])
    trace = Trace("t", times_s, np.array([0.0, 2.0, 4.0, 0.0, 0.0]), {})
    (window,) = windows(trace, threshold_w=1.0)
    assert (window.seconds, window.joules) == (3.5, 2.0 * 0.5 + 4.0 * 3.0)


def test_active_and_idle_power_are_those_of_the_signal() -> None:
    trace = pulsed()
    found = windows(trace, threshold_w=0.05)
    assert active_watts(found) == pytest.approx(ACTIVE_W)
    assert idle_watts(trace, found) == pytest.approx(IDLE_W)
    assert idle_watts(trace, found[:1]) is None


def test_windows_cut_off_by_the_trace_do_not_count() -> None:
    high = HIGH.copy()
    high[:5] = high[95:] = True
    assert windows(pulsed(high=high), threshold_w=0.05) == windows(pulsed(), threshold_w=0.05)
    cut = np.zeros(100, bool)
    cut[:50] = True
    for never in (cut, ~cut, np.ones(100, bool), np.zeros(100, bool)):
        with pytest.raises(UserError, match="never from beginning to end"):
            windows(pulsed(high=never), threshold_w=0.05)


def test_power_that_ripples_across_the_threshold_is_no_inference() -> None:
    """Two inferences of 20 samples, of which every other pair is below the threshold."""
    high = HIGH & ~((TIMES_S > 0.035) & (TIMES_S < 0.065))
    rippling = pulsed(high=high & (np.arange(100) // 2 % 2 == 1), D0=high)
    with pytest.raises(
        UserError, match=r"11 times, 2 to 42 ms apart: the power crosses it .*--trigger"
    ):
        windows(rippling, threshold_w=0.05)
    assert [(w.first, w.end) for w in windows(rippling, "D0")] == [PULSES[0], PULSES[2]]


def test_inferences_may_follow_each_other_closely_and_at_uneven_times() -> None:
    close, uneven = np.zeros(100, bool), np.zeros(100, bool)
    for begin in (10, 22, 34, 46):
        close[begin : begin + 10] = True
    for begin in (10, 15, 20, 90):
        uneven[begin] = True
    assert len(windows(pulsed(high=close), threshold_w=0.05)) == 4
    assert len(windows(pulsed(high=uneven), threshold_w=0.05)) == 4


def test_windows_of_unlike_lengths_are_no_energy_per_inference() -> None:
    spiked = HIGH.copy()
    spiked[95] = True
    trace = pulsed(high=spiked)
    found = windows(trace, threshold_w=0.05)
    assert active_watts(found) == pytest.approx(ACTIVE_W)
    with pytest.raises(UserError, match=r"4 windows last 1 to 22 ms"):
        energy_from_trace(trace, found)


def test_an_unclear_trigger_has_to_be_named() -> None:
    still = np.zeros(100, bool)
    with pytest.raises(
        UserError, match="no channel changes: name the trigger, or give a threshold"
    ):
        windows(pulsed(D0=still))
    with pytest.raises(UserError, match="D1, D2 change"):
        windows(pulsed(D0=still, D1=HIGH, D2=~HIGH))
    with pytest.raises(UserError, match="no digital channel 'D7': the channels are D1"):
        windows(pulsed(D1=HIGH), "D7")
    assert windows(pulsed(D1=HIGH, D2=~HIGH), "D1") == windows(pulsed(), threshold_w=0.05)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no headings"),
        ("a,b\n1,2\n", "no headings"),
        ("time,voltage\n1,2\n", "no headings"),
        # The longest field that csv takes is one number for the whole process: tables raise it.
        ("x" * 200_000, "line 1: field larger than|no headings"),
        ("time,current\n", "no samples"),
        ("time,current\n0,1\n", "fewer than 2 samples"),
        ("time,current\n0,1\n1,nan\n", "not a finite number"),
        ("time,current\n0,1\n1,x\n", "below its headings"),
        ("time,current\n0,1\n1\n", "below its headings"),
        ("time,current\n0,1\n1,1\n1,1\n", "time does not increase at sample 3"),
        ("time,current (%)\n0,1\n1,1\n", "% is not a unit of A"),
        ("time (hours),current\n0,1\n1,1\n", "hours is not a unit of s"),
    ],
)
def test_what_is_no_trace_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        read_trace(path, supply_v=1.0)
    assert "bad.csv" in str(caught.value)


def test_currents_need_a_voltage(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--supply-v"):
        read_trace(written(tmp_path, *STYLES["tabs, plain units"]))


def test_a_missing_file_and_one_that_is_no_text_are_the_users(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.csv"):
        read_trace(tmp_path / "gone.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UserError, match=r"b\.csv"):
        read_trace(tmp_path / "b.csv")
