"""Client of the GDB remote serial protocol, for QEMU's gdbstub.

Packets are `$data#checksum`; acknowledgements are switched off after the first exchange. QEMU
serves memory and registers only while the machine is stopped. Every wait has a timeout; once the
connection is lost, the client fails at once instead of waiting again.
Protocol: https://sourceware.org/gdb/current/onlinedocs/gdb.html/Remote-Protocol.html
"""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

STOP_REPLIES = b"TSWX"
SIGINT = 2  # stopped on request
SIGTRAP = 5  # stopped at a breakpoint or after a step
_DEFAULT_PACKET_BYTES = 0x400


class RspError(Exception):
    """Base class of this module's errors."""


class RspRefused(RspError):
    """The stub answered with an error: the access is impossible, the connection works."""


class RspLost(RspError):
    """The stub is gone, does not answer or sends invalid data: the connection is lost."""


@dataclass(frozen=True, slots=True)
class Register:
    """The number of a register in `p` and `P` packets, and its size."""

    number: int
    size_bytes: int


class RspClient:
    """The client on a connection to a gdbstub, which it closes; its start stops the machine.

    Raises RspLost, OSError.
    """

    def __init__(self, connection: socket.socket, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._received = bytearray()
        self._running = False
        self._lost: str | None = None
        self._acknowledge = True
        self.stop_signal = 0
        self._socket = connection
        try:
            features = self.command(b"qSupported:xmlRegisters=arm;QStartNoAckMode+")
            size = re.search(rb"PacketSize=([0-9a-fA-F]+)", features)
            self._packet_bytes = int(size[1], 16) if size else _DEFAULT_PACKET_BYTES
            self._acknowledge = self.command(b"QStartNoAckMode") != b"OK"
            self._stopped(self.command(b"?"))
            self.registers: Mapping[str, Register] = self._read_description()
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        self._lost = "closed"
        self._socket.close()

    # ---- packets

    def command(self, data: bytes) -> bytes:
        """Send a packet and return its reply. Raises RspRefused for `Exx`, RspLost."""
        deadline = self._send(data)
        while True:
            reply = self._receive(deadline)
            if reply[:1] and reply[:1] in STOP_REPLIES and data not in (b"?", b"s"):
                self._stopped(reply)  # attaching stops a running machine: unsolicited reply
                continue
            if re.fullmatch(rb"E[0-9a-fA-F]{2}", reply):
                raise RspRefused(f"{data[:32].decode()} was answered {reply.decode()}")
            return reply

    def _send(self, data: bytes) -> float:
        return self._transmit(b"$%b#%02x" % (data, sum(data) & 0xFF))

    def _transmit(self, data: bytes) -> float:
        """Send raw bytes; returns the deadline (monotonic) of their answer."""
        if self._lost:
            raise RspLost(self._lost)
        try:
            self._socket.settimeout(self._timeout_s)
            self._socket.sendall(data)
        except OSError as error:
            raise self._lose(f"the gdb stub takes no more data: {error}") from error
        return time.monotonic() + self._timeout_s

    def _receive(self, deadline: float) -> bytes:
        """The next packet. Raises RspLost if none is complete at `deadline` (monotonic)."""
        while (packet := self._take_packet()) is None:
            if not self._wait_for_data(deadline):
                raise self._lose(f"the gdb stub has not answered for {self._timeout_s:g} s")
        return packet

    def _wait_for_data(self, deadline: float) -> bool:
        """Read what has arrived; False if nothing arrives before `deadline`."""
        if self._lost:
            raise RspLost(self._lost)
        try:
            remaining_s = max(0.0, deadline - time.monotonic())
            if not select.select([self._socket], [], [], remaining_s)[0]:
                return False
            data = self._socket.recv(65536)
        except (OSError, ValueError) as error:
            raise self._lose(f"the gdb stub's connection failed: {error}") from error
        if not data:
            raise self._lose("the gdb stub closed the connection")
        self._received += data
        return True

    def _take_packet(self) -> bytes | None:
        start = self._received.find(b"$")
        end = self._received.find(b"#", start)
        if start < 0 or end < 0 or len(self._received) < end + 3:
            return None
        data, checksum = bytes(self._received[start + 1 : end]), self._received[end + 1 : end + 3]
        if b"%02x" % (sum(data) & 0xFF) != checksum.lower():
            raise self._lose(f"the gdb stub sent a packet with a wrong checksum: {data[:32]!r}")
        del self._received[: end + 3]
        if self._acknowledge:
            self._transmit(b"+")
        return re.sub(rb"}(.)", lambda escaped: bytes([escaped[1][0] ^ 0x20]), data, flags=re.S)

    def _lose(self, why: str) -> RspLost:
        self._lost = why
        return RspLost(why)

    # ---- run control

    def _stopped(self, reply: bytes) -> None:
        if reply[:1] in (b"W", b"X"):
            raise self._lose(f"the emulated machine ended ({reply.decode()})")
        if not re.match(rb"[TS][0-9a-fA-F]{2}", reply):
            raise self._lose(f"not a stop reply: {reply[:32]!r}")
        self.stop_signal, self._running = int(reply[1:3], 16), False

    def running(self) -> bool:
        """True if the machine runs; processes a stop reply that has arrived."""
        if self._running:
            self._wait_for_data(deadline=0)
            while (packet := self._take_packet()) is not None:
                if packet[:1] and packet[:1] in STOP_REPLIES:
                    self._stopped(packet)
        return self._running

    def resume(self) -> None:
        """Resume a stopped machine."""
        self._send(b"c")
        self._running = True

    def halt(self) -> None:
        """Stop the machine if it runs; `stop_signal` is then the reason of the stop."""
        if not self.running():
            return
        deadline = self._transmit(b"\x03")
        while self._running:
            reply = self._receive(deadline)
            if reply[:1] and reply[:1] in STOP_REPLIES:
                self._stopped(reply)

    def step(self) -> None:
        """Execute one instruction."""
        self._stopped(self.command(b"s"))

    def system_reset(self) -> None:
        """Reset the whole stopped machine (memory stays) and leave it stopped."""
        deadline = self._send(b"qRcmd,%b" % b"system_reset".hex().encode())
        while (reply := self._receive(deadline)) != b"OK":
            if not reply.startswith(b"O"):  # O<hex>: console output before the final OK
                raise RspRefused(f"monitor system_reset was answered {reply!r}")
        # QEMU only queues the reset; its main loop has done it before it answers the next packet.
        self._stopped(self.command(b"?"))

    def set_breakpoint(self, address: int) -> None:
        """Set a hardware breakpoint at the Thumb instruction at `address`."""
        self.command(b"Z1,%x,2" % address)

    def clear_breakpoint(self, address: int) -> None:
        self.command(b"z1,%x,2" % address)

    # ---- memory and registers of the stopped machine

    def read_memory(self, address: int, size_bytes: int) -> bytes:
        """The bytes at `address`. Raises RspRefused where nothing is mapped."""
        data = bytearray()
        chunk_bytes = (self._packet_bytes - 16) // 2
        while len(data) < size_bytes:
            wanted = min(size_bytes - len(data), chunk_bytes)
            piece = self._from_hex(self.command(b"m%x,%x" % (address + len(data), wanted)))
            if len(piece) != wanted:
                raise self._lose(f"the gdb stub sent {len(piece)} bytes of {wanted}")
            data += piece
        return bytes(data)

    def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes at `address`. Raises RspRefused where nothing is mapped."""
        chunk_bytes = (self._packet_bytes - 40) // 2  # 40 bytes hold "$M<address>,<length>:#xx"
        for offset in range(0, len(data), chunk_bytes):
            piece = data[offset : offset + chunk_bytes]
            self.command(b"M%x,%x:%b" % (address + offset, len(piece), piece.hex().encode()))

    def read_register(self, name: str) -> int:
        data = self._from_hex(self.command(b"p%x" % self.registers[name].number))
        return int.from_bytes(data, "little")

    def write_register(self, name: str, value: int) -> None:
        register = self.registers[name]
        data = value.to_bytes(register.size_bytes, "little")
        self.command(b"P%x=%b" % (register.number, data.hex().encode()))

    def _from_hex(self, text: bytes) -> bytes:
        try:
            return bytes.fromhex(text.decode())
        except ValueError as error:
            raise self._lose(f"the gdb stub sent no hex digits: {text[:32]!r}") from error

    def _read_description(self) -> dict[str, Register]:
        """Register numbers from the target description (GDB manual, appendix G)."""
        found: dict[str, Register] = {}
        number = 0
        files = ["target.xml"]
        while files:
            text = self._read_feature(files.pop(0))
            files = re.findall(r'<xi:include href="([^"]+)"', text) + files
            for element in re.findall(r"<reg ([^>]+)>", text):
                fields = dict(re.findall(r'(\w+)="([^"]*)"', element))
                number = int(fields.get("regnum", number))
                found.setdefault(fields["name"], Register(number, int(fields["bitsize"]) // 8))
                number += 1
        return found

    def _read_feature(self, name: str) -> str:
        text = b""
        while True:
            span = f"{name}:{len(text):x},{self._packet_bytes - 16:x}"
            reply = self.command(b"qXfer:features:read:" + span.encode())
            text += reply[1:]
            if reply[:1] != b"m":  # "m": more follows; "l": the last part
                return text.decode()
