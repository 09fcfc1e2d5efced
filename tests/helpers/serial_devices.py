"""Instruments on pseudo-terminals, which speak the protocols of real ones and play samples."""

from __future__ import annotations

import os
import select
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

PPK2_METADATA = (
    "Calibrated: 0\n"
    + "".join(f"R{i}: {ohm}\n" for i, ohm in enumerate((1031.64, 101.65, 10.15, 0.94, 0.043)))
    + "".join(f"{name}{i}: 0.0\n" for name in ("GS", "O", "S", "I") for i in range(5))
    + "".join(f"{name}{i}: 1.0\n" for name in ("GI", "UG") for i in range(5))
    + "VDD: 3300\nHW: 9173\nmode: 1\nIA: 56\nEND"
)
_PPK2_VOLTS_PER_STEP = 1.8 / 163840
_PPK2_RANGE_3_OHM = 0.94

Speak = Callable[[bytes], bytes]


@contextmanager
def on_a_port(answer: Speak, stream: Callable[[], bytes] = lambda: b"") -> Iterator[str]:
    """The path of a port; `answer` gets what is written there, `stream` is sent in between."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    path, ending = os.ttyname(theirs), threading.Event()

    def serve() -> None:
        while not ending.is_set():
            readable, _, _ = select.select([ours], [], [], 0.005)
            said = answer(os.read(ours, 4096)) if readable else b""
            rest = said + stream()
            while rest and not ending.is_set():
                if select.select([], [ours], [], 0.05)[1]:
                    rest = rest[os.write(ours, rest[:1024]) :]

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield path
    finally:
        ending.set()
        thread.join(5)
        os.close(ours)
        os.close(theirs)


def ppk2_words(steps: np.ndarray, d0: np.ndarray, first: int = 0) -> bytes:
    """Samples of a PPK2 in range 3: ADC steps, D0, a counter that begins at `first`."""
    counter = (first + np.arange(len(steps))) % 64
    words = steps.astype(np.uint32) | 3 << 14 | (counter << 18).astype(np.uint32)
    return (words | (d0.astype(np.uint32) << 24)).astype("<u4").tobytes()


def ppk2_amps(steps: np.ndarray) -> np.ndarray:
    """The currents of these samples, by the calibration of `PPK2_METADATA`."""
    return steps * 4 * _PPK2_VOLTS_PER_STEP / _PPK2_RANGE_3_OHM


class Ppk2:
    """A PPK2 that plays `content` once it is told to measure, `bytes_at_once` at a time."""

    def __init__(self, content: bytes, metadata: str = PPK2_METADATA) -> None:
        self.commands: list[int] = []
        self._rest, self._metadata, self._measures = content, metadata, False

    def answer(self, received: bytes) -> bytes:
        said = b""
        for command in _ppk2_commands(received):
            self.commands.append(command)
            if command == 0x19:
                said += self._metadata.encode()
            self._measures = self._measures if command not in (6, 7) else command == 6
        return said

    def stream(self) -> bytes:
        if not self._measures:
            return b""
        part, self._rest = self._rest[:4000], self._rest[4000:]
        return part


def _ppk2_commands(received: bytes) -> Iterator[int]:
    """The first byte of each command; some are followed by one or two of values."""
    values = {0x0D: 2, 0x0C: 1, 0x11: 1}
    place = 0
    while place < len(received):
        yield received[place]
        place += 1 + values.get(received[place], 0)


class Lpm01a:
    """An LPM01A that acknowledges commands and plays `lines` between start and stop."""

    def __init__(self, lines: list[str], refused: str = "") -> None:
        self.commands: list[str] = []
        self._lines, self._refused, self._runs, self._rest = lines, refused, False, b""

    def answer(self, received: bytes) -> bytes:
        *whole, self._rest = (self._rest + received).split(b"\r\n")
        return b"".join(self._say(line.decode()) for line in whole)

    def _say(self, command: str) -> bytes:
        self.commands.append(command)
        if command == self._refused:
            return f"\r\nPowerShield > error {command}\r\n\r\n".encode()
        if command == "stop":
            self._runs = False
            return b"\r\nPowerShield > Acquisition completed\r\n"
        self._runs = command == "start"
        return f"\r\nPowerShield > ack {command}\r\n\r\n".encode()

    def stream(self) -> bytes:
        if not self._runs or not self._lines:
            return b""
        part, self._lines = self._lines[:50], self._lines[50:]
        return "".join(f"{line}\r\n" for line in part).encode()
