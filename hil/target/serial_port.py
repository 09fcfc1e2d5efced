"""Serial ports by pyserial URL: a device, `socket://HOST:PORT` or `rfc2217://HOST:PORT`.

`fd:N`, which pyserial has not, is a connected socket of this process: an emulator's UART.
"""

from __future__ import annotations

import os
import socket
from typing import Any, cast

import serial
from serial import rfc2217

from hil.target.link import Port

BAUD_RATE = 115_200
WRITE_TIMEOUT_S = 5.0


def open_port(url: str) -> Port:
    """Open a port at 115200 baud, 8N1. Raises OSError (SerialException is a subclass)."""
    if url.startswith("fd:"):
        return SocketPort(socket.socket(fileno=os.dup(int(url.removeprefix("fd:")))))
    if url.startswith("rfc2217://"):
        # pyserial's client has a fixed write timeout (5 s) and accepts no other.
        port: Any = _Rfc2217Port(url, baudrate=BAUD_RATE, timeout=0)  # type: ignore[no-untyped-call]
        return cast(Port, port)
    options: dict[str, Any] = {
        "baudrate": BAUD_RATE,
        "timeout": 0,
        "write_timeout": WRITE_TIMEOUT_S,
    }
    if "://" not in url:
        options["exclusive"] = True  # a terminal program on the port would take our replies
    try:
        port = serial.serial_for_url(url, **options)  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise serial.SerialException(str(error)) from error
    if url.startswith("socket://"):
        # pyserial has no option for this; without it Nagle's algorithm costs 50 ms per request.
        port._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return cast(Port, port)


class SocketPort:
    """A connected stream socket as a serial port, closed by `close()`. Raises OSError.

    `timeout` (s) is how long `read` waits for its first byte; None: for ever.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.timeout: float | None = 0.0
        self._socket = connection

    def read(self, size: int = 1, /) -> bytes:
        """At most `size` bytes of what has arrived; b"" if nothing does within `timeout`."""
        self._socket.settimeout(self.timeout)
        try:
            data = self._socket.recv(size)
        except (BlockingIOError, TimeoutError):
            return b""
        if not data:
            raise ConnectionError("the other end closed the connection")
        return data

    def write(self, data: bytes, /) -> int | None:
        self._socket.settimeout(WRITE_TIMEOUT_S)
        self._socket.sendall(data)
        return len(data)

    def reset_input_buffer(self) -> None:
        """Discard what has arrived."""
        self.timeout = 0.0
        while self.read(65536):
            pass

    def close(self) -> None:
        self._socket.close()


class _Rfc2217Port(rfc2217.Serial):
    """pyserial's RFC 2217 client that does not renegotiate the line (50 ms) on each new `timeout`.

    pyserial's server (`rfc2217.PortManager`) fails on a pseudo-terminal, which has no modem lines:
    serve a real port or `socket://`.
    """

    _negotiated = False

    def _reconfigure_port(self) -> None:
        if not self._negotiated:
            super()._reconfigure_port()  # type: ignore[no-untyped-call]
            self._negotiated = True
