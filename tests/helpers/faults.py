"""Fault injection: a serial line that changes frames, a process that stops."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from hil.target.link import Port

Frames = Callable[[bytes], bytes]


def untouched(frame: bytes) -> bytes:
    return frame


class BadLine:
    """A serial port that applies `to_host` and `to_firmware` to each frame."""

    def __init__(self, port: Port) -> None:
        self.to_host: Frames = untouched
        self.to_firmware: Frames = untouched
        self._port = port
        self._partial = b""
        self._due = b""

    @property
    def timeout(self) -> float | None:
        return self._port.timeout

    @timeout.setter
    def timeout(self, timeout_s: float | None) -> None:
        self._port.timeout = timeout_s

    def read(self, size: int = 1, /) -> bytes:
        if not self._due:
            self._partial += self._port.read(size)
            while b"\0" in self._partial:
                end = self._partial.index(0) + 1
                frame, self._partial = self._partial[:end], self._partial[end:]
                self._due += self.to_host(frame) if len(frame) > 1 else frame
        data, self._due = self._due[:size], self._due[size:]
        return data

    def write(self, data: bytes, /) -> int | None:
        self._port.write(self.to_firmware(data))
        return len(data)

    def reset_input_buffer(self) -> None:
        self._port.reset_input_buffer()
        self._partial = self._due = b""

    def close(self) -> None:
        self._port.close()


def stop(pid: int) -> None:
    """Stop a child of this process and wait until it has stopped."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED)
