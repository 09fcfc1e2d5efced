"""Faults of the serial line between host and a real firmware.

Each fault ends in the right error within its time limit with the transcript kept, or in the right
answer; never in a wrong one. The link alone is tested in tests/unit/target/test_wire.py.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator

import pytest

from helpers.faults import BadLine, Frames, untouched
from hil.errors import NoReply
from hil.target import wire
from hil.target.serial_port import open_port
from hil.target.target import Layout
from hil.target.target_qemu import QemuTarget
from hil.types import Board, Image, RunReply

pytestmark = pytest.mark.usefixtures("emulated", "watchdog")

RUN_TIMEOUT_S = 20.0
SHORT_S = 0.15


class Bed:
    """A loaded target on a bad line."""

    def __init__(self, target: QemuTarget, line: BadLine, image: Image) -> None:
        self.target, self.line, self.image = target, line, image
        self.layout = Layout.within(image.staging, 1, 4, 4)
        target.load(image)
        self.right = self.run(RUN_TIMEOUT_S)

    def run(self, timeout_s: float) -> RunReply:
        """Run one sample, 1 2 3 4."""
        self.target.write(self.layout.inputs.origin, bytes([1, 2, 3, 4]))
        return self.target.run(self.layout.request, timeout_s)

    def repair(self) -> None:
        """Stop injecting faults; nothing half-sent remains."""
        self.line.to_host = self.line.to_firmware = untouched
        self.target.load(self.image)
        assert self.run(RUN_TIMEOUT_S) == self.right


@pytest.fixture(scope="module")
def opened(board: Board) -> Iterator[tuple[QemuTarget, BadLine]]:
    lines: list[BadLine] = []

    def open_bad(url: str) -> BadLine:
        lines.append(BadLine(open_port(url)))
        return lines[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hil.target.target_pyocd.open_port", open_bad)
        target = QemuTarget(board)
        patch.setattr(
            "hil.target.target_qemu._EXIT_WAIT_S", 0.01
        )  # it never dies here: do not wait for it
        yield target, lines[0]
    target.close()


@pytest.fixture
def bed(opened: tuple[QemuTarget, BadLine], image: Image) -> Iterator[Bed]:
    target, line = opened
    line.to_host = line.to_firmware = untouched
    bed = Bed(target, line, image)
    yield bed
    bed.repair()


def version_2(frame: bytes) -> bytes:
    return wire.encode(dataclasses.replace(wire.decode(frame.strip(b"\0")), version=2))


GARBAGE = bytes(random.Random(5).randrange(1, 256) for _ in range(300))
HARMLESS: dict[str, Frames] = {
    "garbage before the reply": lambda frame: GARBAGE + b"\0" + frame,
    "garbage after the reply": lambda frame: frame + GARBAGE,
    "the reply twice": lambda frame: frame + frame,
    "delimiters doubled": lambda frame: b"\0\0" + frame + b"\0",
}
# the damage to the reply, and the expected message
HARMFUL: dict[str, tuple[Frames, str]] = {
    "garbage instead": (lambda frame: GARBAGE + b"\0", "only 1 garbled blocks"),
    "garbage without end": (lambda frame: GARBAGE * 1000, "no reply to RUN"),
    "half a frame": (lambda frame: frame[: len(frame) // 2], "no reply to RUN"),
    "half a frame, ended": (lambda frame: frame[:10] + b"\0", "only 1 garbled blocks"),
    "no delimiter": (lambda frame: frame[:-1], "no reply to RUN"),
    "one bit flipped": (
        lambda frame: frame[:9] + bytes([frame[9] ^ 4]) + frame[10:],
        "only 1 garbled blocks",
    ),
    "nothing": (lambda frame: b"", "no reply to RUN within"),
    "another protocol": (version_2, "speaks protocol version 2, the host 1"),
}


@pytest.mark.parametrize("fault", HARMLESS)
def test_a_noisy_line_does_no_harm_to_a_whole_reply(bed: Bed, fault: str) -> None:
    bed.line.to_host = HARMLESS[fault]
    for _ in range(3):
        assert bed.run(RUN_TIMEOUT_S) == bed.right


@pytest.mark.parametrize("fault", HARMFUL)
def test_a_damaged_reply_is_no_reply_with_a_transcript(bed: Bed, fault: str) -> None:
    damage, words = HARMFUL[fault]
    bed.line.to_host = damage
    with pytest.raises(NoReply, match=words) as caught:
        bed.run(0.5)
    assert "[RUN]" in caught.value.transcript
    heard = caught.value.transcript.rpartition("[RUN]")[2]
    assert ("\n< " in heard) == (fault != "nothing")
    bed.line.to_host = untouched
    assert bed.run(RUN_TIMEOUT_S) == bed.right  # only that reply was lost


@pytest.mark.parametrize("change", ["dropped", "doubled"])
def test_one_byte_dropped_or_doubled_anywhere_never_gives_a_wrong_reply(
    bed: Bed, change: str
) -> None:
    """Every byte of the reply but its delimiter, which may be doubled."""
    length = 0

    def damage(frame: bytes) -> bytes:
        nonlocal length
        length = len(frame)
        copies = b"" if change == "dropped" else frame[at : at + 1] * 2
        return frame[:at] + copies + frame[at + 1 :]

    survived, at = [], 0
    bed.line.to_host = damage
    while at == 0 or at < length:
        try:
            reply = bed.run(SHORT_S)
        except NoReply:
            pass
        else:
            assert reply == bed.right
            survived.append(at)
        at += 1
    assert length > 20
    assert survived == ([] if change == "dropped" else [length - 1])


def test_one_byte_of_the_request_dropped_never_gives_a_wrong_reply(bed: Bed) -> None:
    """The firmware answers with an error or nothing, and hears the next whole request."""
    for at in (1, 2, 3, 7, 20, -1):  # 0 is the delimiter before the frame, -1 the one after it
        bed.line.to_firmware = without_byte(at)
        with pytest.raises(NoReply) as caught:
            bed.run(SHORT_S)
        assert "[RUN]" in caught.value.transcript
        bed.line.to_firmware = untouched
        assert bed.run(RUN_TIMEOUT_S) == bed.right


def without_byte(at: int) -> Frames:
    return lambda frame: frame[: at % len(frame)] + frame[at % len(frame) + 1 :]


def test_a_host_of_another_version_is_rejected_by_the_firmware(bed: Bed) -> None:
    bed.line.to_firmware = version_2
    with pytest.raises(NoReply, match="rejects the request's version") as caught:
        bed.run(RUN_TIMEOUT_S)
    assert "[RUN]" in caught.value.transcript


def test_a_line_that_eats_every_hello_ends_the_load(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.target.target_pyocd.HELLO_TIMEOUT_S", 1.0)
    bed.line.to_firmware = lambda frame: b""
    with pytest.raises(NoReply, match=r"no reply to HELLO within 1 s") as caught:
        bed.target.load(bed.image)
    assert caught.value.transcript.count("[HELLO]") > 1  # HELLO is repeated
