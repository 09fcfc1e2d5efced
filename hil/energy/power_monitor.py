"""Live recording of power: one interface for all meters, with a time limit on every wait.

An adapter (`Instrument`) only translates the Python package or the protocol of an instrument. A
`PowerMonitor` runs it beside other work: it takes what the meter has in a thread, notices silence
and loss, and returns the recording as a trace.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from hil.energy.trace_csv import Trace
from hil.errors import BenchError
from hil.types import Floats

SILENCE_S = 3.0  # the longest time without a sample
_JOIN_S = 10.0  # a call of an instrument's package may take so long
_PAUSE_S = 0.01  # between two looks at the meter
_LEAST_SHARE = 0.9  # of the samples that its rate promises


@dataclass(frozen=True, slots=True)
class Recording:
    """Samples of a meter in time order: current and voltage; `digital` maps channel to states.

    `rate_hz` is the meter's own rate; None if `times_s` were taken as samples came.
    """

    amps: Floats
    volts: Floats
    rate_hz: float | None
    times_s: Floats | None = None
    digital: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)


class Instrument(Protocol):
    """An opened instrument. All methods raise BenchError where it fails or is gone."""

    name: str

    def begin(self) -> None:
        """Start to record."""
        ...

    def poll(self) -> int:
        """Take what was recorded since; returns the number of samples so far. Never waits long."""
        ...

    def end(self) -> Recording:
        """Stop, and return all samples."""
        ...

    def close(self) -> None:
        """Release the instrument; may be called twice."""
        ...


class PowerMonitor:
    """A meter that records in the background, from `start` to `stop`; a context manager."""

    def __init__(self, meter: Instrument) -> None:
        self.meter = meter
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: BenchError | None = None
        self._started_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the recording. Raises BenchError if the meter does not."""
        self._stopping.clear()
        self._failure = None
        self.meter.begin()
        self._started_s = time.monotonic()
        self._thread = threading.Thread(target=self._take, daemon=True, name=self.meter.name)
        self._thread.start()

    def stop(self) -> Trace:
        """End the recording. Raises BenchError if the meter failed, fell silent or lost samples."""
        self._join()
        if self._failure is not None:
            raise self._failure
        recording = self.meter.end()
        seconds = time.monotonic() - self._started_s
        count = len(recording.amps)
        if count < 2:
            raise BenchError(f"{self.meter.name}: {count} samples in {seconds:.1f} s")
        rate_hz = recording.rate_hz
        if rate_hz is not None and count < _LEAST_SHARE * rate_hz * (seconds - SILENCE_S):
            raise BenchError(
                f"{self.meter.name}: {count:,} samples in {seconds:.1f} s, but {rate_hz:,.0f} a "
                "second were promised: samples were lost; is the computer too busy?"
            )
        return _trace(self.meter.name, recording)

    def close(self) -> None:
        """End any recording and release the meter."""
        try:
            self._join()
        finally:
            self.meter.close()

    def _join(self) -> None:
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stopping.set()
        thread.join(_JOIN_S)
        if thread.is_alive():
            raise BenchError(f"{self.meter.name} does not answer within {_JOIN_S:g} s")

    def _take(self) -> None:
        """Poll the meter until `stop`; a failure, or silence, ends it."""
        count, seen_s = 0, time.monotonic()
        try:
            while not self._stopping.wait(_PAUSE_S):
                now, now_s = self.meter.poll(), time.monotonic()
                if now > count:
                    count, seen_s = now, now_s
                elif now_s - seen_s > SILENCE_S:
                    raise BenchError(f"{self.meter.name}: no sample within {SILENCE_S:g} s")
        except BenchError as error:
            self._failure = error


def _trace(name: str, recording: Recording) -> Trace:
    times_s = recording.times_s
    if times_s is None:
        times_s = np.arange(len(recording.amps)) / (recording.rate_hz or np.nan)
    return Trace(
        name=name,
        times_s=np.asarray(times_s, np.float64),
        watts=np.asarray(recording.amps * recording.volts, np.float64),
        digital=dict(recording.digital),
    )
