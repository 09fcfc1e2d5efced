"""pyOCD's client for a probe on another computer (`pyocd server`), with four defects fixed.

The client of pyOCD 0.46.0 waits forever if the server hangs, loops forever if the server closes the
connection, then fails on its own lock count, and cannot send the bytearrays that pyOCD's own RAM
programming passes to it ("Object of type bytearray is not JSON serializable").
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from typing import Any

from pyocd.core import exceptions
from pyocd.core.memory_interface import MemoryInterface
from pyocd.probe.aggregator import PROBE_CLASSES
from pyocd.probe.tcp_client_probe import RemoteMemoryInterface, TCPClientProbe

# A flash sector may take seconds to erase, but no single request waits for that.
REMOTE_ANSWER_TIMEOUT_S = 20.0
_CHUNK_BYTES = 65536


def use_patched_client() -> None:
    """Make pyOCD use this module's client for `remote:HOST[:PORT]`, in this process."""
    PROBE_CLASSES["remote"] = RemoteProbe


class RemoteMemory(RemoteMemoryInterface):
    """A memory interface that sends any sequence as a list, which JSON can encode."""

    def write_memory_block8(self, addr: int, data: Sequence[int], **attrs: Any) -> None:
        super().write_memory_block8(addr, list(data), **attrs)  # type: ignore[no-untyped-call]

    def write_memory_block32(self, addr: int, data: Sequence[int], **attrs: Any) -> None:
        super().write_memory_block32(addr, list(data), **attrs)  # type: ignore[no-untyped-call]


class RemoteProbe(TCPClientProbe):
    """A probe on a `pyocd server`. Every request has a timeout: the server may hang or die."""

    def __init__(self, unique_id: str) -> None:
        super().__init__(unique_id)  # type: ignore[no-untyped-call]
        self._socket: Any = LineSocket(*self._socket._address)

    def get_memory_interface_for_ap(self, ap_address: Any) -> MemoryInterface | None:
        plain: Any = super().get_memory_interface_for_ap(ap_address)  # type: ignore[no-untyped-call]
        if plain is None:
            return None
        return RemoteMemory(self, plain._handle)  # type: ignore[no-untyped-call]

    def lock(self) -> None:
        """Lock the probe. Counts before it asks: pyOCD calls `unlock` even if this failed."""
        with self._lock_count_lock:
            self._lock_count += 1
            if self._lock_count == 1:
                self._perform_request("lock")

    def close(self) -> None:
        try:
            super().close()  # type: ignore[no-untyped-call]
        finally:  # super().close() fails if the server is gone
            self._socket.close()
            self._is_open = False


class LineSocket:
    """A TCP connection that carries lines. Raises ProbeError; after the first error, always."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._socket: socket.socket | None = None
        self._received = bytearray()
        self._lost = "is not connected"

    def connect(self) -> None:
        try:
            self._socket = socket.create_connection(self._address, REMOTE_ANSWER_TIMEOUT_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise self._lose(f"cannot be reached: {error}") from error

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
        self._socket, self._lost = None, "is closed"

    def set_timeout(self, timeout_s: float) -> None:
        """Ignore pyOCD's 0.1 s, which it repeats: here one timeout holds for the whole answer."""

    def write(self, data: bytes) -> None:
        try:
            self._connected().sendall(data)
        except OSError as error:
            raise self._lose(f"takes no more data: {error}") from error

    def readline(self) -> bytes:
        while (end := self._received.find(b"\n") + 1) == 0:
            try:
                data = self._connected().recv(_CHUNK_BYTES)
            except OSError as error:
                raise self._lose(f"does not answer: {error}") from error
            if not data:
                raise self._lose("has closed the connection")
            self._received += data
        line = bytes(self._received[:end])
        del self._received[:end]
        return line

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise self._lose(self._lost)
        return self._socket

    def _lose(self, why: str) -> exceptions.ProbeError:
        self.close()
        self._lost = why
        host, port = self._address
        return exceptions.ProbeError(f"the debug probe server at {host}:{port} {why}")
