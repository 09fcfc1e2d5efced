"""An emulated chip whose gdbstub and UART listen, so that a test can open it again and again."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hil.types import Board


@dataclass(frozen=True, slots=True)
class TcpChip:
    """The TCP ports of a QEMU, on 127.0.0.1, and its process."""

    gdb_port: int
    uart_port: int
    pid: int


@contextmanager
def tcp_emulator(board: Board, arguments: tuple[str, ...] = ()) -> Iterator[TcpChip]:
    """QEMU with the machine of `board`, stopped: a real board's bench, for `ProbeTarget`."""
    with _listener() as gdb, _listener() as uart:
        command = [
            *("qemu-system-arm", "-machine", board.machine, "-nodefaults", "-display", "none"),
            *("-S", "-chardev", _server("gdb0", gdb), "-gdb", "chardev:gdb0"),
            *("-chardev", _server("uart0", uart), "-serial", "chardev:uart0"),
            *arguments,
        ]
        handles = (gdb.fileno(), uart.fileno())
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=handles)
        chip = TcpChip(gdb.getsockname()[1], uart.getsockname()[1], process.pid)
    try:
        yield chip
    finally:
        process.kill()
        process.wait()


def _listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=1)


def _server(name: str, listener: socket.socket) -> str:
    return f"socket,id={name},fd={listener.fileno()},server=on,wait=off,nodelay=on"
