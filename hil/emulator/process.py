"""A QEMU process: one emulated chip with its gdbstub and its UART on TCP sockets.

This process creates the sockets, listening on free ports of 127.0.0.1, and QEMU inherits them: two
emulators never get the same port, and whatever answers on a port is this emulator.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import weakref
from typing import IO

from compress.errors import UserError
from hil.emulator.plugin import QEMU
from hil.types import Board

_EXIT_TIMEOUT_S = 5.0
_STDERR_BYTES = 2000


class Emulator:
    """QEMU with the machine of a board, stopped before the first instruction.

    QEMU is killed when the thread that made it ends, however that happens (`setpriv --pdeathsig`,
    Linux). Raises UserError if QEMU is not installed.
    """

    def __init__(self, board: Board, arguments: tuple[str, ...] = ()) -> None:
        program = shutil.which(QEMU)
        if program is None:
            raise UserError(f"{QEMU} not found (Debian: apt install qemu-system-arm)")
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        with _listener() as gdb, _listener() as uart:
            self.gdb_port: int = gdb.getsockname()[1]
            self.uart_port: int = uart.getsockname()[1]
            command = [
                *_die_with_parent(),
                *(program, "-machine", board.machine, "-nodefaults", "-display", "none", "-S"),
                *("-chardev", _server("gdb0", gdb), "-gdb", "chardev:gdb0"),
                *("-chardev", _server("uart0", uart), "-serial", "chardev:uart0"),
                *arguments,
            ]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                pass_fds=(gdb.fileno(), uart.fileno()),
                start_new_session=True,  # Ctrl-C must not reach QEMU
            )
        self._finalizer = weakref.finalize(self, _kill, self._process, self._stderr)

    @property
    def pid(self) -> int:
        return self._process.pid

    def stderr(self) -> str:
        """The end of QEMU's stderr."""
        if self._stderr.closed:
            return self._last_words
        size_bytes = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size_bytes - _STDERR_BYTES))
        return self._stderr.read().decode(errors="replace").strip()

    def wait(self, timeout_s: float) -> int | None:
        """QEMU's exit status (negative: the signal), None if it still runs after `timeout_s`."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """Kill QEMU, in any state; may be called twice."""
        self._last_words = self.stderr()
        self._finalizer()


def _kill(process: subprocess.Popen[bytes], stderr: IO[bytes]) -> None:
    process.kill()  # SIGKILL ends a stopped process, too
    process.wait(_EXIT_TIMEOUT_S)
    stderr.close()


def _listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=1)


def _server(name: str, listener: socket.socket) -> str:
    return f"socket,id={name},fd={listener.fileno()},server=on,wait=off,nodelay=on"


def _die_with_parent() -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "SIGKILL", "--"] if setpriv else []
