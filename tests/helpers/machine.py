"""An independent QEMU client for firmware tests: no pyOCD, no code shared with hil.

QEMU loads the ELF itself; frames are made with PyPI's cobs and zlib; memory goes through QMP.
"""

from __future__ import annotations

import itertools
import json
import socket
import struct
import subprocess
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from cobs import cobs

from hil.types import Image

TIMEOUT_S = 20.0
GREETING_S = 0.2
TURN_S = 0.002
HELLO, RUN = 0x01, 0x02
HELLO_REPLY, RUN_REPLY, ERROR, FAULT = 0x81, 0x82, 0xFE, 0xFF


class Frame(NamedTuple):
    type: int
    sequence: int
    words: tuple[int, ...]


def body(kind: int, sequence: int, *words: int, version: int = 1) -> bytes:
    head = struct.pack("<BBH", version, kind, sequence) + struct.pack(f"<{len(words)}I", *words)
    return head + struct.pack("<I", zlib.crc32(head))


def parse(frame: bytes) -> Frame:
    content = cobs.decode(frame)
    head, crc = content[:-4], struct.unpack("<I", content[-4:])[0]
    assert zlib.crc32(head) == crc
    version, kind, sequence = struct.unpack_from("<BBH", head)
    assert version == 1
    return Frame(kind, sequence, struct.unpack(f"<{(len(head) - 4) // 4}I", head[4:]))


class Machine:
    """QEMU running an image; `memory` is written before the first instruction.

    `serial_line` is the number that QEMU gives the UART on which the firmware listens: 0 for the
    machine's first one. `turn_main_loop` asks QEMU's monitor again and again while a reply is
    awaited: the UART of QEMU's STM32L4x5 never says that it can take another byte (its RDR read
    lacks qemu_chr_fe_accept_input), so that it gets one byte for each turn of QEMU's main loop.
    """

    def __init__(
        self,
        image: Image,
        folder: Path,
        memory: Mapping[int, bytes] | None = None,
        arguments: tuple[str, ...] = (),
        serial_line: int = 0,
        turn_main_loop: bool = False,
    ) -> None:
        self._turn_main_loop = turn_main_loop
        self.folder = folder
        self._pending = b""
        loaders: list[str] = []
        for address, content in (memory or {}).items():
            file = folder / f"memory-{address:x}.bin"
            file.write_bytes(content)
            loaders += ["-device", f"loader,file={file},addr={address:#x},force-raw=on"]
        with _listener() as uart, _listener() as qmp:
            self._process = subprocess.Popen(
                [
                    *("qemu-system-arm", "-machine", image.board.machine),
                    *("-nodefaults", "-display", "none", "-kernel", str(image.elf)),
                    *("-serial", "null") * serial_line,
                    *("-serial", f"tcp:127.0.0.1:{uart.getsockname()[1]},nodelay=on"),
                    *("-qmp", f"tcp:127.0.0.1:{qmp.getsockname()[1]}"),
                    *loaders,
                    *arguments,
                ],
                stdin=subprocess.DEVNULL,
            )
            try:
                self._uart = uart.accept()[0]
                self._qmp = qmp.accept()[0]
            except BaseException:
                self._process.kill()
                raise
        self._uart.settimeout(TIMEOUT_S)
        self._qmp.settimeout(TIMEOUT_S)
        self._replies = self._qmp.makefile("rb")
        self._replies.readline()  # greeting
        self._command("qmp_capabilities")
        self._greet()

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait(TIMEOUT_S)
        for closable in (self._replies, self._qmp, self._uart):
            closable.close()

    def send(self, content: bytes) -> None:
        self._uart.sendall(cobs.encode(content) + b"\0")

    def send_raw(self, content: bytes) -> None:
        self._uart.sendall(content)

    def receive(self) -> Frame:
        while b"\0" not in (pending := self._pending.lstrip(b"\0")):
            content = self._receive_turning() if self._turn_main_loop else self._uart.recv(4096)
            assert content, "QEMU closed the UART"
            self._pending = pending + content
        self._pending = pending
        frame, self._pending = self._pending.split(b"\0", 1)
        return parse(frame)

    def _receive_turning(self) -> bytes:
        limit_s = self._uart.gettimeout()
        assert limit_s is not None
        deadline = time.monotonic() + limit_s
        self._uart.settimeout(TURN_S)
        try:
            while True:
                self._command("query-status")
                try:
                    return self._uart.recv(4096)
                except TimeoutError:
                    if time.monotonic() >= deadline:
                        raise
        finally:
            self._uart.settimeout(limit_s)

    def ask(self, kind: int, *words: int, sequence: int = 7) -> Frame:
        self.send(body(kind, sequence, *words))
        return self.receive()

    def read(self, address: int, size: int) -> bytes:
        file = self.folder / "memory-read.bin"
        self._command("memsave", val=address, size=size, filename=str(file))
        return file.read_bytes()

    def cpu_ticks(self) -> int:
        """CPU time that QEMU has used, in ticks of 10 ms (proc(5): utime + stime)."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def _greet(self) -> None:
        """Send HELLO until it is answered: a UART may lose bytes before it is enabled."""
        deadline = time.monotonic() + TIMEOUT_S
        for sequence in itertools.count():
            self.send(body(HELLO, sequence))
            self._uart.settimeout(GREETING_S)
            try:
                while self.receive().sequence != sequence:
                    pass
            except TimeoutError:
                assert time.monotonic() < deadline, "the firmware does not answer"
            else:
                break
        self._uart.settimeout(TIMEOUT_S)

    def _command(self, name: str, **arguments: Any) -> None:
        self._qmp.sendall(json.dumps({"execute": name, "arguments": arguments}).encode())
        while True:
            reply = json.loads(self._replies.readline())
            assert "error" not in reply, reply
            if "return" in reply:
                return


def _listener() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(TIMEOUT_S)
    return listener
