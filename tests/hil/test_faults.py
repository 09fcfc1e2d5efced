"""Everything that can go wrong between host and firmware, done on purpose to a real firmware.

Each fault ends in the right error within its time limit with the transcript kept, or in the right
answer; never in a wrong one. What QEMU itself may do is in test_target_qemu.py, the board's share
in test_target.py, the link's alone in tests/unit/test_wire.py.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import os
import random
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from programs import PLUS_TWO, program

from hil import wire
from hil.board import load_board
from hil.build import build
from hil.errors import FirmwareFault, FlashFailed, NoReply, ProbeLost
from hil.link import Port
from hil.measure import Bench
from hil.plan import make_plan
from hil.render import render
from hil.serial_port import open_port
from hil.smoke import smoke_graph, smoke_samples
from hil.target import Layout
from hil.target_qemu import QemuTarget
from hil.types import Board, Image, RunReply

WATCHDOG_S = 120
RUN_TIMEOUT_S = 20.0
SHORT_S = 0.15
Frames = Callable[[bytes], bytes]


@pytest.fixture(scope="module", autouse=True)
def emulated(board: Board) -> None:
    if board.backend != "qemu":
        pytest.skip(f"board {board.name} is not emulated")


@pytest.fixture(autouse=True)
def watchdog() -> Iterator[None]:
    """A wait without a limit ends the test run."""
    faulthandler.dump_traceback_later(WATCHDOG_S, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def untouched(frame: bytes) -> bytes:
    return frame


class BadLine:
    """A serial line that does something to each frame, in either direction."""

    def __init__(self, port: Port) -> None:
        self.to_host: Frames = untouched
        self.to_firmware: Frames = untouched
        self._port = port
        self._partial = b""
        self._due = b""

    @property
    def timeout(self) -> float | None:
        return self._port.timeout

    @timeout.setter
    def timeout(self, timeout_s: float | None) -> None:
        self._port.timeout = timeout_s

    def read(self, size: int = 1, /) -> bytes:
        if not self._due:
            self._partial += self._port.read(size)
            while b"\0" in self._partial:
                end = self._partial.index(0) + 1
                frame, self._partial = self._partial[:end], self._partial[end:]
                self._due += self.to_host(frame) if len(frame) > 1 else frame
        data, self._due = self._due[:size], self._due[size:]
        return data

    def write(self, data: bytes, /) -> int | None:
        self._port.write(self.to_firmware(data))
        return len(data)

    def reset_input_buffer(self) -> None:
        self._port.reset_input_buffer()
        self._partial = self._due = b""

    def close(self) -> None:
        self._port.close()


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
        """Nothing is the matter with the line any more; what was half-sent is over."""
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
        patch.setattr("hil.target_pyocd.open_port", open_bad)
        target = QemuTarget(board)
        patch.setattr("hil.target_qemu._DYING_S", 0.01)  # it never dies here: do not wait for it
        yield target, lines[0]
    target.close()


@pytest.fixture
def bed(opened: tuple[QemuTarget, BadLine], image: Image) -> Iterator[Bed]:
    target, line = opened
    line.to_host = line.to_firmware = untouched
    bed = Bed(target, line, image)
    yield bed
    bed.repair()


# ---- the line


def version_2(frame: bytes) -> bytes:
    return wire.encode(dataclasses.replace(wire.decode(frame.strip(b"\0")), version=2))


GARBAGE = bytes(random.Random(5).randrange(1, 256) for _ in range(300))
HARMLESS: dict[str, Frames] = {
    "garbage before the reply": lambda frame: GARBAGE + b"\0" + frame,
    "garbage after the reply": lambda frame: frame + GARBAGE,
    "the reply twice": lambda frame: frame + frame,
    "delimiters doubled": lambda frame: b"\0\0" + frame + b"\0",
}
# what happens to the reply, and what is said
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
    """Of the reply; doubling its delimiter leaves it whole."""
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
    for at in (1, 2, 3, 7, 20, -1):  # 0 is the delimiter before it, -1 the one behind it
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
    monkeypatch.setattr("hil.target_pyocd.HELLO_TIMEOUT_S", 1.0)
    bed.line.to_firmware = lambda frame: b""
    with pytest.raises(NoReply, match=r"no reply to HELLO within 1 s") as caught:
        bed.target.load(bed.image)
    assert caught.value.transcript.count("[HELLO]") > 1  # it asks again and again


# ---- the firmware


@pytest.fixture(scope="module")
def qemu(board: Board) -> Iterator[QemuTarget]:
    target = QemuTarget(board)
    yield target
    target.close()


def run_once(target: QemuTarget, image: Image, timeout_s: float = RUN_TIMEOUT_S) -> RunReply:
    target.load(image)
    return target.run(Layout.within(image.staging, 1, 4, 4).request, timeout_s)


def patched(image: Image, folder: Path, name: str, code: bytes) -> Image:
    """The image with other code at the start of a function."""
    data = bytearray(image.elf.read_bytes())
    with image.elf.open("rb") as file:
        parsed = ELFFile(file)
        table = parsed.get_section_by_name(".symtab")
        address = int(table.get_symbol_by_name(name)[0]["st_value"]) & ~1
        offset = next(
            segment["p_offset"] + address - segment["p_vaddr"]
            for segment in parsed.iter_segments("PT_LOAD")
            if segment["p_vaddr"] <= address < segment["p_vaddr"] + segment["p_filesz"]
        )
    data[offset : offset + len(code)] = code
    elf = folder / "patched.elf"
    elf.write_bytes(data)
    return dataclasses.replace(image, elf=elf)


def test_a_firmware_that_never_answers_ends_the_load(
    qemu: QemuTarget, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.target_pyocd.HELLO_TIMEOUT_S", 0.5)
    mute = patched(image, tmp_path, "main", struct.pack("<H", 0xE7FE))  # b .
    with pytest.raises(NoReply, match=r"no reply to HELLO within 0\.5 s") as caught:
        qemu.load(mute)
    assert "[HELLO]" in caught.value.transcript
    monkeypatch.undo()
    assert run_once(qemu, image)


def test_a_bus_fault_tells_pc_and_fault_registers(
    qemu: QemuTarget, board: Board, tmp_path: Path
) -> None:
    body = "    *(volatile uint32_t *)0xD0000000u = 1;"  # nothing is there
    with pytest.raises(FirmwareFault, match=r"HardFault at pc 0x\w{8}, .*PRECISERR") as caught:
        run_once(qemu, build(program(board, body), board, tmp_path))
    registers = caught.value.registers
    assert set(registers) == {"pc", "lr", "psr", "cfsr", "hfsr", "mmfar", "bfar"}
    assert registers["bfar"] == 0xD0000000
    assert registers["pc"] in range(board.flash.origin, board.flash.end)
    assert registers["hfsr"] & 1 << 30  # forced
    assert "[RUN]" in caught.value.transcript
    assert "\n< " in caught.value.transcript


def test_a_write_behind_the_arena_is_ours(qemu: QemuTarget, board: Board, tmp_path: Path) -> None:
    body = "    int8_t *volatile arena = model_arena; arena[16] = 1;"
    overrun = build(program(board, body), board, tmp_path)
    with pytest.raises(FirmwareFault, match="behind the arena's end") as caught:
        run_once(qemu, overrun)
    assert "[RUN]" in caught.value.transcript


def test_a_stack_that_grows_into_the_next_region_is_noticed_at_the_first_sample(
    qemu: QemuTarget, board: Board, tmp_path: Path
) -> None:
    """100 samples, each of which overflows: one is enough."""
    body = f"""\
    volatile char local[{board.stack_bytes + 64}];
    for (unsigned i = 0; i < sizeof local; i++)
        local[i] = 1;
    model_arena[12]++;
"""
    image = build(program(board, body), board, tmp_path)
    qemu.load(image)
    qemu.write(image.arena_address, bytes(16))
    layout = Layout.within(image.staging, 100, 4, 4)
    qemu.write(layout.outputs.origin, bytes(400))
    with pytest.raises(FirmwareFault, match="stack overflow") as caught:
        qemu.run(layout.request, RUN_TIMEOUT_S)
    assert "[RUN]" in caught.value.transcript
    outputs = qemu.read(layout.outputs.origin, 400)
    assert outputs[0] > 0  # the first sample has run
    assert outputs[4:] == bytes(396)  # no other has


def test_an_image_for_another_board_is_refused_before_it_is_written(
    qemu: QemuTarget, image: Image, tmp_path: Path
) -> None:
    other = load_board("m33")
    foreign = build(program(other, PLUS_TWO), other, tmp_path)
    qemu.load(image)
    with pytest.raises(FlashFailed, match=f"for board m33, not {qemu.board.name}"):
        qemu.load(foreign)
    assert qemu.run(Layout.within(image.staging, 1, 4, 4).request, RUN_TIMEOUT_S)


def test_another_boards_elf_where_there_is_no_memory_cannot_be_written(
    qemu: QemuTarget, image: Image, tmp_path: Path
) -> None:
    other = load_board("m33")
    foreign = build(program(other, PLUS_TWO), other, tmp_path)
    with pytest.raises(FlashFailed):
        qemu.load(dataclasses.replace(foreign, board=qemu.board))
    assert run_once(qemu, image)


def test_another_boards_elf_with_instructions_this_core_lacks_faults(
    qemu: QemuTarget, image: Image, tmp_path: Path
) -> None:
    if "fpu" in qemu.board.features:
        pytest.skip("the core has a floating-point unit")
    other = load_board("m4")
    body = '    __asm volatile("vadd.f32 s0, s0, s0");'
    foreign = build(program(other, body), other, tmp_path)
    with pytest.raises(FirmwareFault, match=r"UNDEFINSTR|NOCP") as caught:
        run_once(qemu, dataclasses.replace(foreign, board=qemu.board))
    assert caught.value.registers["pc"]
    assert run_once(qemu, image)


# ---- the emulator


def test_an_emulator_killed_after_the_run_loses_the_outputs(board: Board, image: Image) -> None:
    target = QemuTarget(board)
    try:
        run_once(target, image)
        os.kill(target.emulator.pid, signal.SIGKILL)
        target.emulator.wait(RUN_TIMEOUT_S)
        with pytest.raises(ProbeLost, match="killed by signal 9") as caught:
            target.read(image.staging.origin, 4)
        assert "[RUN]" in caught.value.transcript
    finally:
        target.close()


@pytest.mark.parametrize("delay_s", [0.0, 0.1, 0.3])
def test_a_bench_whose_emulator_is_killed_measures_the_same_with_a_new_one(
    board: Board, tmp_path: Path, delay_s: float
) -> None:
    plan = make_plan(smoke_graph(), board)
    image = build(render(plan, board), board, tmp_path)
    samples = smoke_samples(plan.graph)
    opened: list[QemuTarget] = []

    def open_doomed(board: Board) -> QemuTarget:
        """The first emulator dies, sooner or later."""
        target = QemuTarget(board)
        opened.append(target)
        if len(opened) == 1:
            threading.Thread(target=kill_later, args=(target.emulator.pid, delay_s)).start()
        return target

    with Bench(board, open_doomed) as bench:
        first = bench.measure(image, plan, samples)
        while len(opened) == 1:  # it was measured before the blow fell
            again = bench.measure(image, plan, samples)
            assert again == first
        assert bench.measure(image, plan, samples) == first
    assert len(opened) == 2


def kill_later(pid: int, delay_s: float) -> None:
    time.sleep(delay_s)
    os.kill(pid, signal.SIGKILL)


def test_a_bench_gives_up_after_three_emulators_with_the_last_transcript(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(smoke_graph(), board)
    image = build(render(plan, board), board, tmp_path)
    monkeypatch.setattr("hil.measure._START_S", 0.3)
    opened = []

    def open_mute(board: Board) -> QemuTarget:
        """An emulator on a line that swallows every RUN."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hil.target_pyocd.open_port", lambda url: swallow_runs(open_port(url)))
            opened.append(QemuTarget(board))
        return opened[-1]

    with Bench(board, open_mute) as bench, pytest.raises(NoReply, match="to RUN") as caught:
        bench.measure(image, plan, smoke_samples(plan.graph))
    assert "[RUN]" in caught.value.transcript
    assert len(opened) == 3
    assert [target.emulator.wait(0) for target in opened] == [-signal.SIGKILL] * 3


def swallow_runs(port: Port) -> BadLine:
    line = BadLine(port)
    line.to_firmware = lambda frame: (
        b"" if wire.decode(frame.strip(b"\0")).kind == wire.Kind.RUN else frame
    )
    return line
