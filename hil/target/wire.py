"""The serial protocol between host and firmware, version 1 (the other end: firmware/wire.c).

frame = COBS(body) + 0x00
body  = version u8 | type u8 | sequence u16 | payload | CRC-32 of everything before it
Empty frames are ignored: both sides also send a 0x00 before each frame, so that noise between two
frames corrupts neither. All numbers are little-endian; the CRC is zlib's (IEEE 802.3). A reply
carries its request's sequence number; the HardFault handler sends a FAULT frame without a request.
COBS: Cheshire and Baker, IEEE/ACM Transactions on Networking 7(2), 1999.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import astuple, dataclass
from enum import IntEnum

from cobs import cobs

from hil.types import CounterKind

VERSION = 1
DELIMITER = b"\x00"
MAX_FRAME_BYTES = 254  # encoded, without delimiter; the largest frame of version 1 is far smaller
_HEAD = struct.Struct("<BBH")
_CRC = struct.Struct("<I")


class FrameKind(IntEnum):
    """Frame types."""

    HELLO = 0x01
    RUN = 0x02
    HELLO_REPLY = 0x81
    RUN_REPLY = 0x82
    ERROR = 0xFE
    FAULT = 0xFF


class FrameError(Exception):
    """Bytes that are not a valid frame; the message says why."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message, in either direction."""

    kind: int
    sequence: int
    payload: bytes = b""
    version: int = VERSION


def encode(frame: Frame) -> bytes:
    """The encoded bytes of a frame, with the final delimiter."""
    body = _HEAD.pack(frame.version, frame.kind, frame.sequence) + frame.payload
    encoded: bytes = cobs.encode(body + _CRC.pack(zlib.crc32(body)))  # type: ignore[no-untyped-call]
    return encoded + DELIMITER


def decode(block: bytes) -> Frame:
    """The frame in the bytes between two delimiters. Raises FrameError."""
    try:
        body: bytes = cobs.decode(block)  # type: ignore[no-untyped-call]
    except cobs.DecodeError as error:
        raise FrameError(f"not COBS: {error}") from error
    if len(body) < _HEAD.size + _CRC.size:
        raise FrameError(f"only {len(body)} bytes")
    content, (crc,) = body[: -_CRC.size], _CRC.unpack(body[-_CRC.size :])
    if zlib.crc32(content) != crc:
        raise FrameError("wrong CRC")
    version, kind, sequence = _HEAD.unpack_from(content)
    return Frame(kind, sequence, content[_HEAD.size :], version)


def _unpack(layout: struct.Struct, payload: bytes) -> tuple[int, ...]:
    if len(payload) != layout.size:
        raise FrameError(f"payload of {len(payload)} bytes, expected {layout.size}")
    return layout.unpack(payload)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Arguments of RUN: `samples` inferences on staging memory (`hil.target.target.Layout`).

    Inputs and outputs are the model's bytes, one sample after the other; labels are u16 (address
    0: none); counts are two u64 per sample, the counter's value and modeled cycles (or 0). The
    model starts with its first state, or with `continues` in the state that the last run left.
    """

    samples: int
    inputs_address: int
    labels_address: int
    outputs_address: int
    counts_address: int
    continues: bool = False

    def pack(self) -> bytes:
        return struct.pack("<6I", *astuple(self))


@dataclass(frozen=True, slots=True)
class HelloReply:
    """Reply to HELLO: the program's id, its sizes, its staging memory, its counter's kind."""

    model_id: int
    input_bytes: int
    output_bytes: int
    staging_address: int
    staging_bytes: int
    counter: CounterKind | None

    @classmethod
    def unpack(cls, payload: bytes) -> HelloReply:
        """Raises FrameError."""
        model, inputs, outputs, address, size, counter = _unpack(_HELLO_REPLY, payload)
        if counter >= len(_COUNTERS):
            raise FrameError(f"counter kind {counter} is unknown")
        return cls(model, inputs, outputs, address, size, _COUNTERS[counter])


_HELLO_REPLY = struct.Struct("<6I")
_COUNTERS: tuple[CounterKind | None, ...] = (None, "insn", "dwt", "systick")


@dataclass(frozen=True, slots=True)
class RunResult:
    """Payload of RUN_REPLY; status 0 is success."""

    status: int
    correct: int
    stack_peak_bytes: int
    outputs_crc32: int

    @classmethod
    def unpack(cls, payload: bytes) -> RunResult:
        """Raises FrameError."""
        return cls(*_unpack(_RUN_REPLY, payload))


_RUN_REPLY = struct.Struct("<4I")
RUN_FAILURES = {1: "stack overflow", 2: "a write past the arena's end"}  # by RUN_REPLY status
_ERROR_CODES = {1: "version", 2: "CRC", 3: "frame type", 4: "arguments"}
_FAULT = struct.Struct("<7I")
_FAULT_REGISTERS = ("pc", "lr", "psr", "cfsr", "hfsr", "mmfar", "bfar")
# Configurable Fault Status Register, Armv7-M ARM (DDI 0403) B3.2.15
_CFSR_BITS = {
    0: "IACCVIOL", 1: "DACCVIOL", 4: "MSTKERR", 8: "IBUSERR", 9: "PRECISERR", 10: "IMPRECISERR",
    12: "STKERR", 16: "UNDEFINSTR", 17: "INVSTATE", 18: "INVPC", 19: "NOCP", 20: "STKOF",
    24: "UNALIGNED", 25: "DIVBYZERO",
}  # fmt: skip


def error_text(payload: bytes) -> str:
    """The meaning of an ERROR frame's payload. Raises FrameError."""
    (code,) = _unpack(_CRC, payload)
    return f"the firmware rejects the request's {_ERROR_CODES.get(code, f'(code {code})')}"


def fault_registers(payload: bytes) -> dict[str, int]:
    """The registers in a FAULT frame's payload, by name. Raises FrameError."""
    return dict(zip(_FAULT_REGISTERS, _unpack(_FAULT, payload), strict=True))


def fault_text(registers: dict[str, int]) -> str:
    """One line: the registers at the fault and the causes that CFSR reports."""
    causes = [name for bit, name in _CFSR_BITS.items() if registers["cfsr"] >> bit & 1]
    values = ", ".join(f"{name} {value:#010x}" for name, value in registers.items())
    return f"HardFault at {values}" + (f" ({' '.join(causes)})" if causes else "")
