"""ST's X-NUCLEO-LPM01A, by its text protocol on a serial port (UM2269): 5,000 samples a second.

It supplies the board. Commands are lines; the answer to one is "PowerShield > ack" and the command.
While it records, a line with a current in amperes is a number and a power of ten, 6409-07 for
640.9 uA; others are time stamps with the fill of its buffer.
"""

from __future__ import annotations

import re
import time
from collections import deque
from typing import Any

import numpy as np
import serial

from compress.errors import UserError
from hil.energy.power_monitor import Recording
from hil.errors import BenchError

_RATE_HZ = 5_000.0
_BAUD = 3_686_400
_ANSWER_S = 5.0
_LEAST_V, _MOST_V = 1.8, 3.3
_CURRENT = re.compile(rb"(\d{1,6})([+-]\d{1,3})")
_STAMP = re.compile(rb"TimeStamp: *\d+s *\d+ms, buff *(\d+)%")
_DONE = b"Acquisition completed"


class Lpm01aMeter:
    """An LPM01A on a serial port. Raises UserError without one, BenchError if it is silent."""

    def __init__(self, port: str | None, supply_v: float) -> None:
        if port is None:
            raise UserError("which LPM01A? name its serial port (--meter-port /dev/ttyACM0)")
        if not _LEAST_V <= supply_v <= _MOST_V:
            raise UserError(f"--supply-v {supply_v:g}: an LPM01A has {_LEAST_V:g} to {_MOST_V:g} V")
        self.name = f"LPM01A {port}"
        self._supply_v = supply_v
        self._received = b""
        self._lines: deque[bytes] = deque()
        self._amps: list[float] = []
        try:
            self._port: Any = serial.serial_for_url(  # type: ignore[no-untyped-call]
                port, baudrate=_BAUD, timeout=0, write_timeout=_ANSWER_S, exclusive=True
            )
        except (serial.SerialException, OSError) as error:
            raise BenchError(f"{self.name}: {error}") from error
        try:
            self._setup()
        except BenchError:
            self.close()
            raise

    def _setup(self) -> None:
        for command in (
            "htc",  # the host has control, not the buttons
            "format ascii_dec",
            f"volt {round(1000 * self._supply_v)}m",
            f"freq {_RATE_HZ / 1000:.0f}k",
            "acqtime 0",  # until it is stopped
            "trigdelay 0",
            "pwr on",
        ):
            self._command(command)

    def begin(self) -> None:
        self._amps = []
        self._command("start")

    def poll(self) -> int:
        while (line := self._line()) is not None:
            self._take(line)
        return len(self._amps)

    def end(self) -> Recording:
        self._send("stop")
        deadline = time.monotonic() + _ANSWER_S
        while True:
            line = self._line()
            if line is None:
                self._wait(deadline, "stop")
            elif _DONE in line:
                amps = np.array(self._amps)
                return Recording(amps, np.full(len(amps), self._supply_v), _RATE_HZ)
            else:
                self._take(line)

    def close(self) -> None:
        self._port.close()

    def _take(self, line: bytes) -> None:
        """A line of a recording. Raises BenchError for an error, or a buffer that is full."""
        if found := _CURRENT.fullmatch(line):
            self._amps.append(float(int(found[1])) * 10.0 ** int(found[2]))
        elif (stamp := _STAMP.search(line)) and int(stamp[1]) >= 100:
            raise BenchError(f"{self.name}: its buffer is full, samples are lost")
        elif b"error" in line.lower():
            raise BenchError(f"{self.name}: {line.decode('ascii', 'replace')}")

    def _command(self, command: str) -> None:
        """Send a command and wait for its answer."""
        self._send(command)
        deadline = time.monotonic() + _ANSWER_S
        while True:
            line = self._line()
            if line is None:
                self._wait(deadline, command)
            elif line.endswith(b"ack " + command.encode()):
                return
            elif b"error" in line.lower():
                said = line.decode("ascii", "replace")
                raise BenchError(f"{self.name} refuses {command!r}: {said}")

    def _wait(self, deadline: float, command: str) -> None:
        if time.monotonic() > deadline:
            raise BenchError(f"{self.name} does not answer {command!r} within {_ANSWER_S:g} s")
        time.sleep(0.002)

    def _send(self, command: str) -> None:
        try:
            self._port.write(f"{command}\r\n".encode())
        except (serial.SerialException, OSError) as error:
            raise BenchError(f"{self.name} is gone: {error}") from error

    def _line(self) -> bytes | None:
        """The next whole line, without bytes of 0 beside it; None if none has arrived."""
        if not self._lines:
            try:
                self._received += self._port.read(self._port.in_waiting or 1)
            except (serial.SerialException, OSError) as error:
                raise BenchError(f"{self.name} is gone: {error}") from error
            *whole, self._received = self._received.split(b"\n")
            self._lines.extend(clean for line in whole if (clean := line.strip(b"\r \0")))
        return self._lines.popleft() if self._lines else None
