"""The gdb client against a fake gdbstub that answers, misbehaves or falls silent."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from hil.emulator.rsp import SIGTRAP, Register, RspClient, RspLost, RspRefused

MAIN_XML = b'<target><xi:include href="core.xml"/><xi:include href="fpu.xml"/></target>'
CORE_XML = b'<feature><reg name="r0" bitsize="32"/><reg name="pc" bitsize="32" regnum="15"/>'
FPU_XML = b'<feature><reg name="d0" bitsize="64" type="a#b$c}d"/></feature>'
Answer = bytes | None
Handler = Callable[[bytes], Answer]


def packet(data: bytes) -> bytes:
    escaped = re.sub(rb"[#$}*]", lambda match: b"}" + bytes([match[0][0] ^ 0x20]), data)
    return b"$" + escaped + b"#" + f"{sum(escaped) % 256:02x}".encode()


class Stub:
    """A gdbstub with 4 KiB of memory at 0x1000. `handler` may answer first (raw bytes)."""

    def __init__(self) -> None:
        self.memory = bytearray(0x1000)
        self.commands: list[bytes] = []
        self.largest_packet = 0
        self.handler: Handler = lambda command: None
        self.byte_by_byte = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        with connection:
            pending = b""
            while data := connection.recv(65536):
                pending += data
                while match := re.search(rb"\x03|\$([^#]*)#([0-9a-f]{2})", pending):
                    pending = pending[match.end() :]
                    command = match[1] if match[1] is not None else b"\x03"
                    self.largest_packet = max(self.largest_packet, len(match[0]))
                    self.commands.append(command)
                    answer = self.handler(command)
                    if answer is None:
                        answer = self._answer(command)
                    if answer == b"CLOSE":
                        return
                    self._send(connection, answer)

    def _send(self, connection: socket.socket, answer: bytes) -> None:
        pieces = [bytes([b]) for b in answer] if self.byte_by_byte else [answer]
        for piece in pieces:
            connection.sendall(piece)

    def _answer(self, command: bytes) -> bytes:
        if command.startswith(b"qSupported"):
            return b"+" + packet(b"PacketSize=200;QStartNoAckMode+;qXfer:features:read+")
        if command == b"QStartNoAckMode":
            return b"+" + packet(b"OK")
        if command == b"?":
            return packet(b"T02thread:01;")
        if match := re.match(rb"qXfer:features:read:(\w+)\.xml:(\w+),(\w+)", command):
            text = {b"target": MAIN_XML, b"core": CORE_XML, b"fpu": FPU_XML}[match[1]]
            start, size = int(match[2], 16), min(int(match[3], 16), 50)
            more = b"m" if start + size < len(text) else b"l"
            return packet(more + text[start : start + size])
        if match := re.match(rb"m(\w+),(\w+)", command):
            start, size = int(match[1], 16) - 0x1000, int(match[2], 16)
            if start < 0 or start + size > len(self.memory):
                return packet(b"E14")
            return packet(self.memory[start : start + size].hex().encode())
        if match := re.match(rb"M(\w+),(\w+):(\w+)", command):
            start, data = int(match[1], 16) - 0x1000, bytes.fromhex(match[3].decode())
            assert len(data) == int(match[2], 16)
            self.memory[start : start + len(data)] = data
            return packet(b"OK")
        if command == b"s":
            return packet(b"T05thread:01;")
        if command == b"\x03":
            return packet(b"T02thread:01;")
        if command == b"c":
            return b""
        return packet(b"")


def connect(port: int, timeout_s: float) -> RspClient:
    return RspClient(socket.create_connection(("127.0.0.1", port), timeout_s), timeout_s)


@pytest.fixture
def stub() -> Iterator[Stub]:
    server = Stub()
    yield server
    server.close()


@pytest.fixture
def client(stub: Stub) -> Iterator[RspClient]:
    connected = connect(stub.port, timeout_s=2.0)
    yield connected
    connected.close()


def fail_on(command: bytes, answer: bytes) -> Handler:
    return lambda received: answer if received.startswith(command) else None


def test_registers_come_from_the_target_description(client: RspClient) -> None:
    assert client.registers == {
        "r0": Register(0, 4),
        "pc": Register(15, 4),
        "d0": Register(16, 8),
    }


def test_memory_round_trip_in_packets_the_stub_can_take(client: RspClient, stub: Stub) -> None:
    data = bytes(i * 7 % 256 for i in range(3001))
    client.write_memory(0x1003, data)
    assert bytes(stub.memory[3:3004]) == data
    assert client.read_memory(0x1003, 3001) == data
    assert stub.largest_packet <= 0x200


def test_replies_may_come_byte_by_byte(client: RspClient, stub: Stub) -> None:
    stub.byte_by_byte = True
    stub.memory[:4] = b"\1\2\3\4"
    assert client.read_memory(0x1000, 4) == b"\1\2\3\4"


def test_a_refused_access_leaves_the_connection_usable(client: RspClient) -> None:
    with pytest.raises(RspRefused, match="E14"):
        client.read_memory(0x9000_0000, 4)
    assert client.read_memory(0x1000, 2) == b"\0\0"


def test_a_stop_reply_out_of_turn_is_not_taken_for_an_answer(client: RspClient, stub: Stub) -> None:
    stub.handler = fail_on(b"m", packet(b"T05thread:01;") + packet(b"0102"))
    assert client.read_memory(0x1000, 2) == b"\1\2"
    assert client.stop_signal == SIGTRAP


def test_run_halt_and_breakpoint(client: RspClient, stub: Stub) -> None:
    client.resume()
    assert client.running()
    client.halt()
    assert not client.running()
    assert stub.commands[-2:] == [b"c", b"\x03"]
    stub.handler = fail_on(b"c", packet(b"T05thread:01;"))
    client.resume()
    while client.running():
        pass
    assert client.stop_signal == SIGTRAP


def test_halting_a_halted_machine_sends_nothing(client: RspClient, stub: Stub) -> None:
    before = len(stub.commands)
    client.halt()
    assert len(stub.commands) == before


def test_system_reset_takes_console_output_before_the_ok(client: RspClient, stub: Stub) -> None:
    stub.handler = fail_on(b"qRcmd", packet(b"O68690a") + packet(b"OK"))
    client.system_reset()
    assert stub.commands[-2:] == [b"qRcmd,73797374656d5f7265736574", b"?"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(b"", "has not answered for 0.3 s", id="silent"),
        pytest.param(b"$01", "has not answered", id="half a packet"),
        pytest.param(b"$0102#00", "checksum", id="wrong checksum"),
        pytest.param(packet(b"zz"), "no hex digits", id="no hex"),
        pytest.param(packet(b"01"), "1 bytes of 2", id="too little"),
        pytest.param(packet(b"W00"), "ended", id="the machine ended"),
        pytest.param(b"CLOSE", "closed the connection", id="closed"),
    ],
)
def test_a_stub_that_fails_is_lost_for_good(stub: Stub, answer: bytes, message: str) -> None:
    client = connect(stub.port, timeout_s=0.3)
    stub.handler = fail_on(b"m", answer)
    with pytest.raises(RspLost, match=message):
        client.read_memory(0x1000, 2)
    commands = len(stub.commands)
    with pytest.raises(RspLost, match=message):  # at once: nothing is sent any more
        client.read_memory(0x1000, 2)
    assert len(stub.commands) == commands
    client.close()


def test_a_machine_that_does_not_halt_is_lost(stub: Stub) -> None:
    client = connect(stub.port, timeout_s=0.3)
    stub.handler = fail_on(b"\x03", b"")
    client.resume()
    with pytest.raises(RspLost, match="has not answered"):
        client.halt()
    client.close()


def test_connecting_to_a_silent_stub_ends(stub: Stub) -> None:
    stub.handler = lambda command: b""
    with pytest.raises(RspLost, match="has not answered"):
        connect(stub.port, timeout_s=0.3)


def test_connecting_to_nothing_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        connect(port, timeout_s=0.3)
