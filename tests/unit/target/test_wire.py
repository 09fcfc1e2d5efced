"""Frames against hand-made bytes, and the link against a faulty port."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest
import serial

from hil.errors import FirmwareFault, NoReply
from hil.target import wire
from hil.target.link import Link
from hil.target.wire import Frame, FrameError, FrameKind, HelloReply, RunRequest

REQUEST = RunRequest(3, 0x2000_0000, 0x2000_0100, 0x2000_0200, 0x2000_0300)


def crc32_bitwise(data: bytes) -> int:
    """IEEE 802.3 by its definition: reflected polynomial 0xEDB88320, one bit at a time."""
    crc = 0xFFFF_FFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB8_8320 if crc & 1 else 0)
    return crc ^ 0xFFFF_FFFF


def stuff(data: bytes) -> bytes:
    """COBS for bodies of less than 254 bytes: each zero becomes the distance to the next."""
    return b"".join(bytes([len(run) + 1]) + run for run in data.split(b"\0"))


def body(kind: int, sequence: int, payload: bytes = b"", version: int = 1) -> bytes:
    head = bytes([version, kind, sequence & 0xFF, sequence >> 8]) + payload
    return head + struct.pack("<I", crc32_bitwise(head))


def packed(kind: int, sequence: int, payload: bytes = b"", version: int = 1) -> bytes:
    return stuff(body(kind, sequence, payload, version)) + b"\0"


class Device:
    """A fake port with firmware: `answer` maps a request to the bytes of its reply."""

    def __init__(self, answer: Callable[[Frame], bytes], chunk_bytes: int = 1000) -> None:
        self.timeout: float | None = None
        self.sent: list[Frame] = []
        self._answer = answer
        self._chunk_bytes = chunk_bytes
        self._waiting = b""

    def write(self, data: bytes, /) -> int:
        assert data[:1] == data[-1:] == b"\0"  # noise before it would be no part of the frame
        frame = wire.decode(data[1:-1])
        self.sent.append(frame)
        self._waiting += self._answer(frame)
        return len(data)

    def read(self, size: int = 1, /) -> bytes:
        size = min(size, self._chunk_bytes)
        data, self._waiting = self._waiting[:size], self._waiting[size:]
        return data

    def reset_input_buffer(self) -> None:
        self._waiting = b""

    def close(self) -> None: ...


def run(answer: Callable[[Frame], bytes], timeout_s: float = 0.05) -> object:
    link = Link(Device(answer))
    return link.finish_run(link.start_run(REQUEST), timeout_s)


def run_reply(frame: Frame, status: int = 0) -> bytes:
    return packed(0x82, frame.sequence, struct.pack("<4I", status, 2, 640, 0xCAFE_F00D))


def hello_reply(frame: Frame, counter: int = 1) -> bytes:
    words = struct.pack("<6I", 0xDEAD_BEEF, 490, 12, 0x2100_0000, 1 << 24, counter)
    return packed(0x81, frame.sequence, words)


def test_crc_has_the_catalogued_check_value() -> None:
    assert crc32_bitwise(b"123456789") == zlib.crc32(b"123456789") == 0xCBF4_3926


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (Frame(FrameKind.HELLO, 1), packed(0x01, 1)),
        (Frame(FrameKind.RUN, 0xFFFF, REQUEST.pack()), packed(0x02, 0xFFFF, REQUEST.pack())),
        (Frame(FrameKind.RUN_REPLY, 0, bytes(16)), packed(0x82, 0, bytes(16))),
    ],
)
def test_frames_are_as_documented(frame: Frame, expected: bytes) -> None:
    assert wire.encode(frame) == expected
    assert wire.decode(expected[:-1]) == frame


def test_run_request_is_six_little_endian_words() -> None:
    words = (3, 0x2000_0000, 0x2000_0100, 0x2000_0200, 0x2000_0300)
    for continues in (0, 1):
        request = replace(REQUEST, continues=bool(continues))
        expected = b"".join(word.to_bytes(4, "little") for word in (*words, continues))
        assert request.pack() == expected


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b"\x09abc", id="not COBS"),
        pytest.param(stuff(b"\x01\x02\x03"), id="too short"),
        pytest.param(stuff(body(1, 1)[:-1] + b"\x7f"), id="wrong CRC"),
    ],
)
def test_what_is_no_frame_is_refused(block: bytes) -> None:
    with pytest.raises(FrameError):
        wire.decode(block)


def test_hello_tells_who_answers() -> None:
    assert Link(Device(hello_reply)).hello(1.0) == HelloReply(
        0xDEAD_BEEF, 490, 12, 0x2100_0000, 1 << 24, "insn"
    )


def test_hello_is_asked_again_when_noise_ate_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.target.link.HELLO_INTERVAL_S", 0.01)
    device = Device(lambda frame: hello_reply(frame) if frame.sequence == 3 else b"")
    assert Link(device).hello(10.0).input_bytes == 490
    assert [frame.sequence for frame in device.sent] == [1, 2, 3]


def test_run_returns_what_the_firmware_counted() -> None:
    link = Link(Device(run_reply))
    reply = link.finish_run(link.start_run(REQUEST), 1.0)
    assert (reply.correct, reply.stack_peak_bytes, reply.outputs_crc32) == (2, 640, 0xCAFE_F00D)


@pytest.mark.parametrize("chunk_bytes", [1, 2, 7])
def test_a_reply_may_come_in_any_pieces(chunk_bytes: int) -> None:
    link = Link(Device(run_reply, chunk_bytes))
    assert link.finish_run(link.start_run(REQUEST), 1.0).correct == 2


@pytest.mark.parametrize(
    "noise",
    [
        pytest.param(b"\0\0\0", id="empty frames"),
        pytest.param(b"boot rom v1\r\n\0", id="text"),
        pytest.param(bytes(range(1, 256)) * 40 + b"\0", id="longer than any frame"),
        pytest.param(packed(0x82, 77, bytes(16)), id="a reply to another request"),
        pytest.param(packed(0xFE, 77, b"\2\0\0\0"), id="a complaint about another request"),
    ],
)
def test_noise_before_the_reply_is_skipped(noise: bytes) -> None:
    assert run(lambda frame: noise + run_reply(frame)) is not None


def test_replies_to_earlier_requests_are_not_taken_for_ours() -> None:
    late: list[bytes] = []

    def answer(frame: Frame) -> bytes:
        late.append(packed(0x82, frame.sequence, struct.pack("<4I", 0, len(late), 0, 0)))
        return b"" if len(late) == 1 else late[0] + late[1]

    link = Link(Device(answer))
    with pytest.raises(NoReply):
        link.finish_run(link.start_run(REQUEST), 0.01)
    assert link.finish_run(link.start_run(REQUEST), 1.0).correct == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda frame: b"", "no reply to RUN within 0.05 s"),
        (lambda frame: run_reply(frame)[:-1], "no reply to RUN"),
        (lambda frame: b"\x05junk\0" * 3, "only 3 garbled blocks"),
        (lambda frame: bytes(reversed(run_reply(frame))) + b"\0", "1 garbled block"),
        (lambda frame: packed(0x82, frame.sequence, bytes(16), version=2), "version 2"),
        (lambda frame: packed(0x82, frame.sequence, bytes(12)), "12 bytes, expected 16"),
        (lambda frame: packed(0x81, frame.sequence, bytes(24)), "0x81 instead of RUN_REPLY"),
        (lambda frame: packed(0xFE, frame.sequence, b"\4\0\0\0"), "arguments"),
    ],
)
def test_anything_else_is_no_reply(answer: Callable[[Frame], bytes], message: str) -> None:
    with pytest.raises(NoReply, match=message):
        run(answer)


def test_an_unknown_counter_is_no_reply() -> None:
    with pytest.raises(NoReply, match="counter kind 9"):
        Link(Device(lambda frame: hello_reply(frame, counter=9))).hello(1.0)


def test_a_broken_port_is_no_reply() -> None:
    def answer(frame: Frame) -> bytes:
        raise serial.SerialException("device disconnected")

    with pytest.raises(NoReply, match="device disconnected"):
        run(answer)


def test_no_reply_shows_what_was_exchanged() -> None:
    with pytest.raises(NoReply) as caught:
        run(lambda frame: b"\x05junk\0")
    sent, received = caught.value.transcript.splitlines()
    assert sent.startswith("> ")
    assert wire.decode(bytes.fromhex(sent[2:].split("[")[0])[:-1]).payload == REQUEST.pack()
    assert received.startswith("< 05 6a 75 6e 6b  [no frame")


def test_the_transcript_is_bounded() -> None:
    flood = (b"\x05" * 200 + b"\0") * 500
    with pytest.raises(NoReply) as caught:
        run(lambda frame: flood)
    assert len(caught.value.transcript) < 20_000


def test_a_fault_names_where_and_why() -> None:
    registers = struct.pack("<7I", 0x123, 0x456, 0x2100_0003, 1 << 16 | 1 << 25, 1 << 30, 0, 0)
    with pytest.raises(FirmwareFault) as caught:
        run(lambda frame: packed(0xFF, 0, registers))
    assert caught.value.registers["pc"] == 0x123
    for part in ("pc 0x00000123", "cfsr 0x02010000", "UNDEFINSTR", "DIVBYZERO"):
        assert part in str(caught.value)
    assert caught.value.exit_code == 4


def test_a_run_that_overflowed_its_stack_is_our_fault() -> None:
    with pytest.raises(FirmwareFault, match="stack overflow"):
        run(lambda frame: run_reply(frame, status=1))


def test_forget_drops_what_an_earlier_program_said() -> None:
    device = Device(lambda frame: packed(0xFF, 0, bytes(28)) if frame.sequence == 1 else b"")
    link = Link(device)
    link.start_run(REQUEST)
    link.discard_received()
    with pytest.raises(NoReply):  # and not FirmwareFault
        link.finish_run(link.start_run(REQUEST), 0.01)


def test_sequence_numbers_wrap() -> None:
    sent: list[bytes] = []
    device = Device(lambda frame: b"")
    device.write = sent.append  # type: ignore[assignment,method-assign]
    link = Link(device)
    for _ in range(0x1_0001):
        link.start_run(REQUEST)
    sequences = [wire.decode(sent[i][1:-1]).sequence for i in (0, 0xFFFE, 0xFFFF, 0x1_0000)]
    assert sequences == [1, 0xFFFF, 0, 1]
