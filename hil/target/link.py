"""The host's end of the serial link: sends requests, receives replies; every wait has a timeout."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeVar

from serial import SerialException

from hil.errors import FirmwareFault, NoReply
from hil.target import wire
from hil.target.wire import Frame, FrameError, FrameKind, HelloReply, RunRequest, RunResult
from hil.types import RunReply

HELLO_INTERVAL_S = 0.25
_CHUNK_BYTES = 65536
_T = TypeVar("_T")


class Port(Protocol):
    """The part of a pyserial port that `Link` uses; `timeout` (s) limits the next read."""

    timeout: float | None

    def read(self, size: int = 1, /) -> bytes: ...
    def write(self, data: bytes, /) -> int | None: ...
    def reset_input_buffer(self) -> None: ...
    def close(self) -> None: ...


class Transcript:
    """The last bytes exchanged, as text of bounded size."""

    def __init__(self, lines: int = 32, bytes_per_line: int = 64) -> None:
        self._lines: deque[str] = deque(maxlen=lines)
        self._bytes_per_line = bytes_per_line

    def add(self, mark: str, data: bytes, remark: str = "") -> None:
        shown = data[: self._bytes_per_line].hex(" ")
        more = f" … ({len(data)} bytes)" if len(data) > self._bytes_per_line else ""
        self._lines.append(f"{mark} {shown}{more}{remark and f'  [{remark}]'}")

    def clear(self) -> None:
        self._lines.clear()

    def __str__(self) -> str:
        return "\n".join(self._lines)


class Link:
    """A client of the firmware, one request at a time. Raises only NoReply and FirmwareFault."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._sequence = 0
        self._received = bytearray()
        self._garbage = 0  # blocks since the last request that are not valid frames
        self._transcript = Transcript()

    @property
    def transcript(self) -> str:
        """The last exchange in hex: `>` to the firmware, `<` from it."""
        return str(self._transcript)

    @property
    def port(self) -> Port:
        """The serial port."""
        return self._port

    def discard_received(self) -> None:
        """Discard everything received so far: it came from a program that no longer runs."""
        try:
            self._port.reset_input_buffer()
        except (SerialException, OSError) as error:
            raise self._no_reply(f"the serial port failed: {error}") from error
        self._received.clear()
        self._transcript.clear()

    def close(self) -> None:
        self._port.close()

    def hello(self, timeout_s: float) -> HelloReply:
        """Send HELLO until it is answered: the firmware may not be listening yet."""
        deadline = time.monotonic() + timeout_s
        while True:
            sequence = self._send(FrameKind.HELLO)
            attempt_end = min(deadline, time.monotonic() + HELLO_INTERVAL_S)
            payload = self._receive(FrameKind.HELLO_REPLY, sequence, attempt_end)
            if payload is not None:
                return self._parsed(HelloReply.unpack, payload)
            if attempt_end == deadline:
                raise self._silence("HELLO", timeout_s)

    def start_run(self, request: RunRequest) -> int:
        """Send RUN; returns its sequence number, for `finish_run` and `poll_run`."""
        return self._send(FrameKind.RUN, request.pack())

    def finish_run(self, sequence: int, timeout_s: float) -> RunReply:
        """Wait for the reply to RUN."""
        reply = self.poll_run(sequence, timeout_s)
        if reply is None:
            raise self._silence("RUN", timeout_s)
        return reply

    def poll_run(self, sequence: int, wait_s: float) -> RunReply | None:
        """The reply to RUN, or None if there is none within `wait_s`."""
        payload = self._receive(FrameKind.RUN_REPLY, sequence, time.monotonic() + wait_s)
        if payload is None:
            return None
        result = self._parsed(RunResult.unpack, payload)
        if result.status:
            why = wire.RUN_FAILURES.get(result.status, f"status {result.status}")
            raise FirmwareFault(f"the run failed: {why}", transcript=self.transcript)
        return RunReply(result.correct, result.stack_peak_bytes, result.outputs_crc32)

    # ---- frames

    def _send(self, kind: FrameKind, payload: bytes = b"") -> int:
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._garbage = 0
        data = wire.encode(Frame(kind, self._sequence, payload))
        self._transcript.add(">", data, kind.name)
        try:
            self._port.write(wire.DELIMITER + data)  # ends what noise may have begun
        except (SerialException, OSError) as error:
            raise self._no_reply(f"the serial port failed: {error}") from error
        return self._sequence

    def _receive(self, kind: FrameKind, sequence: int, deadline: float) -> bytes | None:
        """The payload of the reply of this kind to this request, or None at the deadline.

        Invalid blocks and replies to earlier requests go into the transcript and are skipped.
        """
        while True:
            while (block := self._take_block()) is not None:
                payload = self._reply_in(block, kind, sequence)
                if payload is not None:
                    return payload
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0:
                return None
            self._received += self._read(remaining_s)

    def _reply_in(self, block: bytes, kind: FrameKind, sequence: int) -> bytes | None:
        try:
            frame = wire.decode(block)
        except FrameError as error:
            self._garbage += 1
            self._transcript.add("<", block, f"no frame: {error}")
            return None
        self._transcript.add("<", block)
        if frame.version != wire.VERSION:
            raise self._no_reply(
                f"the firmware speaks protocol version {frame.version}, the host {wire.VERSION}"
            )
        if frame.kind == FrameKind.FAULT:
            registers = self._parsed(wire.fault_registers, frame.payload)
            raise FirmwareFault(wire.fault_text(registers), registers, self.transcript)
        if frame.sequence != sequence:
            return None
        if frame.kind == FrameKind.ERROR:
            raise self._no_reply(self._parsed(wire.error_text, frame.payload))
        if frame.kind != kind:
            raise self._no_reply(f"reply of type {frame.kind:#04x} instead of {kind.name}")
        return frame.payload

    def _take_block(self) -> bytes | None:
        """The bytes before the next delimiter, None if it has not arrived; skips empty blocks."""
        while (end := self._received.find(wire.DELIMITER)) >= 0:
            block = bytes(self._received[:end])
            del self._received[: end + 1]
            if block:
                return block
        # Longer than any frame: keep just enough to reject it as garbage when its end arrives.
        del self._received[: -wire.MAX_FRAME_BYTES]
        return None

    def _read(self, timeout_s: float) -> bytes:
        """All bytes that have arrived; waits for the first one only. read_until() is far slower."""
        try:
            self._port.timeout = timeout_s
            data = self._port.read(1)
            if data:
                self._port.timeout = 0
                data += self._port.read(_CHUNK_BYTES)
        except (SerialException, OSError) as error:
            raise self._no_reply(f"the serial port failed: {error}") from error
        return data

    # ---- errors

    def _parsed(self, parse: Callable[[bytes], _T], payload: bytes) -> _T:
        try:
            return parse(payload)
        except FrameError as error:
            raise self._no_reply(f"the firmware's reply is malformed: {error}") from error

    def _silence(self, request: str, timeout_s: float) -> NoReply:
        if self._received:
            self._transcript.add("<", bytes(self._received), "without an end")
        garbage = f", only {self._garbage} garbled blocks" if self._garbage else ""
        return self._no_reply(f"no reply to {request} within {timeout_s:g} s{garbage}")

    def _no_reply(self, message: str) -> NoReply:
        return NoReply(message, self.transcript)
