"""A QEMU process: one emulated chip with its gdbstub and its UART on socket pairs.

This process creates both pairs and QEMU inherits one end of each: nothing listens, so no other
process can connect, and whatever answers is this emulator. It matters because whoever speaks to
the gdbstub commands QEMU (`monitor migrate "exec:..."`). See docs/decisions/0002.
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
from hil.emulator.sandbox import sandbox_arguments
from hil.types import Board

_EXIT_TIMEOUT_S = 5.0
_STDERR_BYTES = 2000


class Emulator:
    """QEMU with the machine of a board, stopped before the first instruction.

    QEMU is killed when the thread that made it ends, however that happens (`setpriv --pdeathsig`,
    Linux). `gdb` and `uart` are this process's ends of the two connections; they are closed by
    `kill()`. Raises UserError if QEMU is not installed.
    """

    def __init__(self, board: Board, arguments: tuple[str, ...] = ()) -> None:
        program = shutil.which(QEMU)
        if program is None:
            raise UserError(f"{QEMU} not found (Debian: apt install qemu-system-arm)")
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        self.gdb, gdb = socket.socketpair()
        self.uart, uart = socket.socketpair()
        ends = (self.gdb, self.uart)
        with gdb, uart:
            command = [
                *_die_with_parent(),
                *(program, "-machine", board.machine, "-nodefaults", "-no-user-config"),
                *("-display", "none", "-S", *sandbox_arguments(program)),
                *("-chardev", f"socket,id=gdb0,fd={gdb.fileno()}", "-gdb", "chardev:gdb0"),
                *("-chardev", f"socket,id=uart0,fd={uart.fileno()}", "-serial", "chardev:uart0"),
                *arguments,
            ]
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=self._stderr,
                    pass_fds=(gdb.fileno(), uart.fileno()),
                    start_new_session=True,  # Ctrl-C must not reach QEMU
                )
            except BaseException:
                _close(*ends, self._stderr)
                raise
        self._finalizer = weakref.finalize(self, _kill, self._process, *ends, self._stderr)

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


def _kill(process: subprocess.Popen[bytes], *files: socket.socket | IO[bytes]) -> None:
    process.kill()  # SIGKILL ends a stopped process, too
    process.wait(_EXIT_TIMEOUT_S)
    _close(*files)


def _close(*files: socket.socket | IO[bytes]) -> None:
    for file in files:
        file.close()


def _die_with_parent() -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "SIGKILL", "--"] if setpriv else []
