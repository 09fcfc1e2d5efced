"""QEMU dies, hangs or is abandoned: the right error, no process left, no unbounded wait.

If a test hangs, a watchdog ends the test run.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyocd.core.session import Session

from compress.errors import UserError
from helpers.faults import stop
from helpers.programs import program
from helpers.tcp_emulator import tcp_emulator
from hil.codegen.build import build
from hil.emulator.probe_qemu import QemuProbe
from hil.emulator.process import Emulator
from hil.emulator.pyocd_targets import register_board
from hil.errors import FirmwareFault, FlashFailed, NoReply, ProbeLost
from hil.target.target import Layout
from hil.target.target_qemu import QemuTarget
from hil.types import Board, Image

pytestmark = pytest.mark.usefixtures("emulated", "watchdog")
RUN_TIMEOUT_S = 20.0


@pytest.fixture
def qemu(board: Board) -> Iterator[QemuTarget]:
    target = QemuTarget(board)
    yield target
    target.close()


@pytest.fixture(scope="module")
def endless(board: Board, tmp_path_factory: pytest.TempPathFactory) -> Image:
    body = '    for (;;) __asm volatile("");'
    return build(program(board, body), board, tmp_path_factory.mktemp("endless"))


def layout_of(image: Image) -> Layout:
    return Layout.within(image.staging, 1, 4, 4)


def nowhere(image: Image) -> int:
    """An address that is never executed: the vector table."""
    return image.board.flash.origin + 8


def alive(pid: int) -> bool:
    """True if a process exists and is not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_gone(pid: int) -> None:
    while alive(pid):  # bounded by the watchdog
        time.sleep(0.01)


VERBS: dict[str, Callable[[QemuTarget, Image], object]] = {
    "load": lambda target, image: target.load(image),
    "run": lambda target, image: target.run(layout_of(image).request, RUN_TIMEOUT_S),
    "run_until": lambda target, image: target.run_until(
        layout_of(image).request, nowhere(image), RUN_TIMEOUT_S
    ),
    "read": lambda target, image: target.read(image.staging.origin, 4),
    "write": lambda target, image: target.write(image.staging.origin, b"1234"),
}


def test_a_machine_with_another_core_is_the_users(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Emulator] = []

    def start(*arguments: Any) -> Emulator:
        started.append(Emulator(*arguments))
        return started[-1]

    monkeypatch.setattr("hil.target.target_qemu.Emulator", start)
    other = "cortex-m4" if board.core == "cortex-m3" else "cortex-m3"
    with pytest.raises(UserError, match=f"has {board.core}, board .* has {other}: correct"):
        QemuTarget(dataclasses.replace(board, core=other))
    wait_until_gone(started[0].pid)


@pytest.mark.parametrize("first", ["load", "run", "run_until"])
def test_a_dead_emulator_is_a_lost_probe_and_stays_one(
    qemu: QemuTarget, image: Image, first: str
) -> None:
    qemu.load(image)
    os.kill(qemu.emulator.pid, signal.SIGKILL)
    wait_until_gone(qemu.emulator.pid)
    for verb in (first, *VERBS):
        with pytest.raises(ProbeLost, match="killed by signal 9"):
            VERBS[verb](qemu, image)


def test_an_emulator_killed_in_mid_run_is_a_lost_probe(qemu: QemuTarget, endless: Image) -> None:
    qemu.load(endless)
    killer = threading.Timer(0.3, os.kill, (qemu.emulator.pid, signal.SIGKILL))
    killer.start()
    with pytest.raises(ProbeLost, match="killed by signal 9") as caught:
        qemu.run(layout_of(endless).request, RUN_TIMEOUT_S)
    assert "[RUN]" in caught.value.transcript
    killer.join()


def test_an_emulator_killed_while_waiting_for_a_halt_is_a_lost_probe(
    qemu: QemuTarget, endless: Image
) -> None:
    qemu.load(endless)
    killer = threading.Timer(0.3, os.kill, (qemu.emulator.pid, signal.SIGKILL))
    killer.start()
    with pytest.raises(ProbeLost, match="killed by signal 9"):
        qemu.run_until(layout_of(endless).request, nowhere(endless), RUN_TIMEOUT_S)
    killer.join()


def test_an_emulator_that_hangs_in_a_run_is_no_reply(qemu: QemuTarget, image: Image) -> None:
    qemu.load(image)
    stop(qemu.emulator.pid)
    with pytest.raises(NoReply, match=r"within 0\.5 s"):
        qemu.run(layout_of(image).request, 0.5)
    os.kill(qemu.emulator.pid, signal.SIGCONT)
    qemu.load(image)  # it was only asleep
    assert qemu.run(layout_of(image).request, RUN_TIMEOUT_S)


@pytest.mark.parametrize("first", ["load", "run_until"])
def test_an_emulator_that_hangs_is_a_lost_probe_and_stays_one(
    board: Board, image: Image, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.emulator.probe_qemu.GDB_ANSWER_TIMEOUT_S", 1.0)
    qemu = QemuTarget(board)
    try:
        qemu.load(image)
        stop(qemu.emulator.pid)
        for verb in (first, "read"):
            with pytest.raises(ProbeLost, match="has not answered"):
                VERBS[verb](qemu, image)
    finally:
        qemu.close()
    assert not alive(qemu.emulator.pid)


def test_close_ends_the_emulator_and_may_be_repeated(board: Board, image: Image) -> None:
    target = QemuTarget(board)
    target.load(image)
    target.close()
    assert not alive(target.emulator.pid)
    target.close()
    with pytest.raises(ProbeLost):
        target.load(image)


def test_a_parent_killed_with_its_target_open_leaves_no_emulator(board: Board) -> None:
    script = (
        "import sys, time\n"
        "from hil.board import load_board\n"
        "from hil.target.target_qemu import QemuTarget\n"
        "target = QemuTarget(load_board(sys.argv[1]))\n"
        "print(target.emulator.pid, flush=True)\n"
        "time.sleep(1000)\n"
    )
    command = [sys.executable, "-c", script, board.name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    wait_until_gone(pid)


def test_a_parent_that_forgets_to_close_leaves_no_emulator(board: Board) -> None:
    emulator = Emulator(board)
    pid = emulator.pid
    del emulator
    wait_until_gone(pid)


def test_two_targets_at_once_do_not_meet(board: Board, image: Image, qemu: QemuTarget) -> None:
    other = QemuTarget(board)
    try:
        for target in (qemu, other):
            target.load(image)
        layout = layout_of(image)
        for target, first in ((qemu, 10), (other, 20)):
            target.write(layout.inputs.origin, bytes([first] * 4))
        for target, first in ((qemu, 10), (other, 20)):
            target.run(layout.request, RUN_TIMEOUT_S)
            assert target.read(layout.outputs.origin, 4) == bytes([first + 2] * 4)
    finally:
        other.close()


def test_a_machine_that_qemu_does_not_know_shows_qemus_words(board: Board) -> None:
    with pytest.raises(ProbeLost, match="unsupported machine type"):
        QemuTarget(dataclasses.replace(board, machine="no-such-machine"))


def test_a_missing_emulator_is_the_users(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UserError, match="qemu-system-arm"):
        QemuTarget(board)


def test_a_locked_up_core_is_our_fault(qemu: QemuTarget, image: Image, tmp_path: Path) -> None:
    """No vector table: the first fault cannot be handled, and QEMU reports a lockup."""
    data = image.elf.read_bytes()
    vectors = board_memory(qemu, image)[:64]
    assert data.count(vectors) == 1
    elf = tmp_path / "no_vectors.elf"
    elf.write_bytes(data.replace(vectors, bytes(64)))
    with pytest.raises(FirmwareFault, match="locked up"):
        qemu.load(dataclasses.replace(image, elf=elf))


def board_memory(qemu: QemuTarget, image: Image) -> bytes:
    qemu.load(image)
    return qemu.read(image.board.flash.origin, 256)


def test_a_write_that_does_not_stick_is_found_on_reading_back(
    qemu: QemuTarget, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = QemuProbe.write_bus

    def flip_one_bit(self: QemuProbe, address: int, data: bytes) -> None:
        if address == image.board.flash.origin:
            data = bytes([data[0] ^ 0x10]) + data[1:]
        real(self, address, data)

    monkeypatch.setattr(QemuProbe, "write_bus", flip_one_bit)
    with pytest.raises(FlashFailed, match=f"{image.board.flash.origin:#010x} reads back different"):
        qemu.load(image)


class WordwiseProbe(QemuProbe):
    """Without the accelerated interface pyOCD uses CSW, TAR and DRW."""

    def get_memory_interface_for_ap(self, ap_address: object) -> None:
        return None


def test_memory_through_the_access_port_is_the_same_memory(board: Board, image: Image) -> None:
    register_board(board)
    emulator = Emulator(board)
    options = {"target_override": board.pyocd_target, "no_config": True}
    try:
        probe = WordwiseProbe(f"fd:{emulator.gdb.fileno()}")
        with Session(probe, options=options) as session:
            assert session.target is not None
            data = list(range(1, 24))
            for offset in range(4):
                address = image.staging.origin + 64 * offset + offset
                session.target.write_memory_block8(address, data)
                assert list(session.target.read_memory_block8(address, 23)) == data
            session.target.write32(board.ram.origin, 0x1122_3344)
            session.target.write8(board.ram.origin + 1, 0xAA)
            session.target.write16(board.ram.origin + 2, 0xBBCC)
            assert session.target.read32(board.ram.origin) == 0xBBCC_AA44
            assert session.target.read8(board.ram.origin + 3) == 0xBB
            assert session.target.read16(board.ram.origin + 2) == 0xBBCC
    finally:
        emulator.kill()


def test_the_pyocd_command_loads_an_emulated_board(board: Board, image: Image) -> None:
    with tcp_emulator(board) as chip:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pyocd", "load", "--no-config"),
                *("-u", f"qemu:127.0.0.1:{chip.gdb_port}", "-t", board.pyocd_target),
                str(image.elf),
            ],
            capture_output=True,
            text=True,
            timeout=5 * RUN_TIMEOUT_S,
        )
        assert done.returncode == 0, done.stderr
        assert "programmed" in done.stderr
