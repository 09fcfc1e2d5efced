"""A recording beside other work: samples, silence, loss, and instruments that fail or hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hil.energy import power_monitor
from hil.energy.power_monitor import PowerMonitor, Recording
from hil.energy.trace_csv import Trace, read_trace, trace_to_csv
from hil.errors import BenchError


class Fake:
    """An instrument of 1,000 samples a second; `now` says how many it has after how many polls."""

    name = "fake"

    def __init__(self, now: Callable[[int], int] = lambda polls: 10 * polls) -> None:
        self.now, self.polls, self.closed = now, 0, 0
        self.rate_hz: float | None = 1000.0

    def begin(self) -> None:
        self.polls = 0

    def poll(self) -> int:
        self.polls += 1
        return self.now(self.polls)

    def end(self) -> Recording:
        count = max(0, self.now(self.polls))
        times = None if self.rate_hz else np.arange(count) * 0.5
        d0 = {"D0": np.arange(count) % 2 == 1}
        return Recording(np.full(count, 0.01), np.full(count, 3.0), self.rate_hz, times, d0)

    def close(self) -> None:
        self.closed += 1


def test_a_recording_is_a_trace() -> None:
    fake = Fake()
    with PowerMonitor(fake) as monitor:
        monitor.start()
        time.sleep(0.2)
        trace = monitor.stop()
        first = fake.polls
        assert 2 <= first <= 20
        assert trace.name == "fake"
        assert len(trace.watts) == 10 * first
        np.testing.assert_allclose(trace.watts, 0.03)
        np.testing.assert_allclose(np.diff(trace.times_s), 0.001)
        assert trace.digital["D0"].sum() == 5 * first
        monitor.start()  # once more
        time.sleep(0.1)
        assert len(monitor.stop().watts) == 10 * fake.polls
    assert fake.closed == 1


def test_times_that_the_meter_gives_are_kept() -> None:
    fake = Fake()
    fake.rate_hz = None
    with PowerMonitor(fake) as monitor:
        monitor.start()
        time.sleep(0.1)
        np.testing.assert_allclose(np.diff(monitor.stop().times_s), 0.5)


def test_silence_is_an_error_of_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power_monitor, "SILENCE_S", 0.05)
    fake = Fake(lambda polls: min(polls, 3))
    with PowerMonitor(fake) as monitor:
        monitor.start()
        time.sleep(0.3)
        with pytest.raises(BenchError, match=r"fake: no sample within 0.05 s"):
            monitor.stop()
    assert fake.closed == 1


def test_few_samples_are_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power_monitor, "SILENCE_S", 0.02)
    with PowerMonitor(Fake(lambda polls: polls + 1)) as monitor:
        monitor.start()
        time.sleep(0.3)
        with pytest.raises(BenchError, match=r"samples were lost"):
            monitor.stop()


def test_nothing_at_all() -> None:
    with PowerMonitor(Fake(lambda _: 0)) as monitor:
        monitor.start()
        with pytest.raises(BenchError, match="0 samples in"):
            monitor.stop()


def test_a_failure_while_recording_is_told_at_the_end() -> None:
    def gone(polls: int) -> int:
        if polls > 2:
            raise BenchError("fake is gone")
        return polls

    with PowerMonitor(Fake(gone)) as monitor:
        monitor.start()
        time.sleep(0.1)
        with pytest.raises(BenchError, match="fake is gone"):
            monitor.stop()


def test_an_instrument_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power_monitor, "_JOIN_S", 0.1)
    free = threading.Event()
    fake = Fake(lambda polls: int(free.wait(20)) + polls)
    try:
        with PowerMonitor(fake) as monitor:
            monitor.start()
            time.sleep(0.05)
            with pytest.raises(BenchError, match=r"does not answer within 0.1 s"):
                monitor.stop()
    finally:
        free.set()
    assert fake.closed == 1


def test_a_trace_is_written_and_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    times_s = np.cumsum(rng.uniform(1e-5, 1e-4, 500))
    high = {"D0": rng.random(500) < 0.5, "D5": rng.random(500) < 0.5}
    trace = Trace("meter", times_s, rng.uniform(1e-6, 0.5, 500), high)
    path = tmp_path / "trace.csv"
    path.write_text(trace_to_csv(trace))
    found = read_trace(path)
    np.testing.assert_allclose(found.times_s, times_s, atol=1e-7)
    np.testing.assert_allclose(found.watts, trace.watts, rtol=1e-8)
    assert [*found.digital] == [*high]
    for name, states in high.items():
        np.testing.assert_array_equal(found.digital[name], states)
