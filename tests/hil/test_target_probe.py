"""A real board's target on an emulator: locks, failures, remote probes and ports."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import serial
from pyocd.probe.aggregator import PROBE_CLASSES
from pyocd.probe.tcp_client_probe import TCPClientProbe
from serial import rfc2217

from compress.errors import UserError
from helpers.faults import stop
from helpers.programs import PLUS_TWO, program
from helpers.tcp_emulator import TcpChip, tcp_emulator
from hil.board import load_board
from hil.codegen.build import build
from hil.emulator.plugin import counting_arguments
from hil.emulator.pyocd_targets import register_board
from hil.errors import BenchError, NoReply, ProbeLost
from hil.measure.measure import BoardRunner
from hil.target.bench_file import Bench
from hil.target.bench_lock import BenchBusy, Quarantined, recorded_failures, release_quarantine
from hil.target.target import Layout
from hil.target.target_probe import ProbeTarget
from hil.types import Board, Image

pytestmark = pytest.mark.usefixtures("watchdog")
RUN_TIMEOUT_S = 20.0


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="module")
def board() -> Board:
    """The emulated board, with the backend of real boards."""
    facts = dataclasses.replace(load_board("m3"), connect_mode="under-reset")
    register_board(facts)
    return facts


@pytest.fixture(scope="module")
def image(board: Board, tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build(program(board, PLUS_TWO), board, tmp_path_factory.mktemp("plus_two"))


@pytest.fixture
def chip(board: Board) -> Iterator[TcpChip]:
    with tcp_emulator(board, counting_arguments()) as listening:
        yield listening


@pytest.fixture
def here(board: Board, chip: TcpChip) -> Bench:
    """The bench of the chip."""
    port = f"socket://127.0.0.1:{chip.uart_port}"
    return Bench(board.name, f"qemu:127.0.0.1:{chip.gdb_port}", port)


def works(target: ProbeTarget, image: Image) -> bool:
    """Load and run one sample of the program that adds 2."""
    target.load(image)
    layout = Layout.within(image.staging, 1, 4, 4)
    target.write(layout.inputs.origin, bytes([1, 2, 3, 4]))
    target.run(layout.request, RUN_TIMEOUT_S)
    return target.read(layout.outputs.origin, 4) == bytes([3, 4, 5, 6])


# ---- locks


def test_a_board_is_ours_alone_until_it_is_closed(board: Board, here: Bench, image: Image) -> None:
    target = ProbeTarget(board, [here])
    with pytest.raises(BenchBusy, match=f"in use by process {os.getpid()} "):
        ProbeTarget(board, [here], wait_s=0.1)
    assert works(target, image)
    target.close()
    target.close()
    assert recorded_failures(here) == []


def test_a_board_that_cannot_be_opened_is_not_kept(board: Board, here: Bench) -> None:
    nowhere = dataclasses.replace(here, port_url="socket://127.0.0.1:1")
    for _ in range(2):
        with pytest.raises(ProbeLost, match="opening serial port"):
            ProbeTarget(board, [nowhere], wait_s=0.1)


def test_a_bench_lets_go_of_a_real_board_after_each_job(board: Board) -> None:
    opened: list[Any] = []

    class Closable:
        closed = False

        def close(self) -> None:
            self.closed = True

    def open_one(board: Board) -> Any:
        opened.append(Closable())
        return opened[-1]

    with BoardRunner(dataclasses.replace(board, backend="pyocd"), open_one) as runner:
        assert runner.run(lambda target: 1) + runner.run(lambda target: 2) == 3
        assert [target.closed for target in opened] == [True, True]
    with BoardRunner(board, open_one) as runner:  # an emulator has no other user
        assert runner.run(lambda target: 1) + runner.run(lambda target: 2) == 3
        assert len(opened) == 3
        assert not opened[2].closed


# ---- failures


def test_three_failures_are_a_quarantine_until_release(
    board: Board, here: Bench, chip: TcpChip, image: Image
) -> None:
    target = ProbeTarget(board, [here])
    target.load(image)
    layout = Layout.within(image.staging, 1, 4, 4)
    stop(chip.pid)
    for attempt in range(3):
        with pytest.raises(NoReply) as caught:
            target.run(layout.request, 0.05)
        assert ("quarantined" in str(caught.value)) == (attempt == 2)
    os.kill(chip.pid, signal.SIGCONT)
    target.close()
    assert ["[RUN]" in failure["transcript"] for failure in recorded_failures(here)] == [True] * 3
    with pytest.raises(Quarantined, match="failed 3 times in a row"):
        ProbeTarget(board, [here])
    assert release_quarantine(board.name) == [here.probe_id]
    target = ProbeTarget(board, [here])
    assert works(target, image)
    target.close()


def test_a_run_that_succeeds_ends_a_row_of_failures(
    board: Board, here: Bench, chip: TcpChip, image: Image
) -> None:
    target = ProbeTarget(board, [here])
    target.load(image)
    layout = Layout.within(image.staging, 1, 4, 4)
    for _ in range(3):
        stop(chip.pid)
        with pytest.raises(NoReply, match=r"within 0\.05 s$"):
            target.run(layout.request, 0.05)
        assert len(recorded_failures(here)) == 1
        os.kill(chip.pid, signal.SIGCONT)
        assert works(target, image)
        assert recorded_failures(here) == []
    target.close()


def test_another_chip_on_the_probe_is_the_users_and_no_failure(board: Board, here: Bench) -> None:
    m4 = dataclasses.replace(board, core="cortex-m4")
    with pytest.raises(UserError, match="on a chip with cortex-m3, board m3 has cortex-m4"):
        ProbeTarget(m4, [here])
    assert recorded_failures(here) == []
    ProbeTarget(board, [here], wait_s=0).close()  # the lock is free again


# ---- remote probes


@pytest.fixture
def server(here: Bench) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A `pyocd server` process for the chip's probe, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "pyocd", "server", "--no-config", "-u", here.probe_id]
    with subprocess.Popen([*command, "-p", str(port)], stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:  # bounded by the watchdog
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        yield process, f"remote:127.0.0.1:{port}"
        process.kill()


def test_a_remote_probe_works_where_pyocds_own_client_does_not(
    board: Board,
    here: Bench,
    image: Image,
    server: tuple[subprocess.Popen[bytes], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remote = dataclasses.replace(here, probe_id=server[1])
    target = ProbeTarget(board, [remote])
    assert works(target, image)
    target.close()
    monkeypatch.setattr("hil.target.target_probe.use_patched_client", lambda: None)
    monkeypatch.setitem(PROBE_CLASSES, "remote", TCPClientProbe)
    target = ProbeTarget(board, [remote])
    with pytest.raises(TypeError, match="bytearray is not JSON serializable"):
        target.load(image)
    target.close()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (signal.SIGKILL, "closed the connection|reset by peer|takes no more data"),
        (signal.SIGSTOP, "does not answer: timed out"),
    ],
)
def test_a_remote_server_that_dies_or_hangs_is_a_lost_probe(
    board: Board,
    here: Bench,
    server: tuple[subprocess.Popen[bytes], str],
    monkeypatch: pytest.MonkeyPatch,
    what: signal.Signals,
    words: str,
) -> None:
    monkeypatch.setattr("hil.target.pyocd_remote.REMOTE_ANSWER_TIMEOUT_S", 2.0)
    process, address = server
    target = ProbeTarget(board, [dataclasses.replace(here, probe_id=address)])
    process.send_signal(what)
    # Signals are asynchronous: continue when it has died or stopped.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WSTOPPED | os.WNOWAIT)
    for _ in range(2):
        with pytest.raises(ProbeLost, match=words):
            target.read(board.ram.origin, 4)
    target.close()


def test_a_remote_server_that_is_not_there_is_a_lost_probe(board: Board, here: Bench) -> None:
    with pytest.raises(ProbeLost, match="cannot be reached"):
        ProbeTarget(board, [dataclasses.replace(here, probe_id="remote:127.0.0.1:1")])


# ---- remote ports


@pytest.fixture
def rfc2217_url(chip: TcpChip) -> Iterator[str]:
    """An RFC 2217 server as in pyserial's example, in front of the chip's UART."""
    line: Any = serial.serial_for_url(f"socket://127.0.0.1:{chip.uart_port}", timeout=0.02)
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener, line, ended), daemon=True)
        thread.start()
        yield f"rfc2217://127.0.0.1:{listener.getsockname()[1]}"
        ended.set()  # a test that failed may have left its client open
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    line.close()


def serve(listener: socket.socket, line: Any, ended: threading.Event) -> None:
    """Bridge one client after the other to `line` until `ended` is set."""
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client, client.makefile("wb", buffering=0) as out:
            manager: Any = rfc2217.PortManager(line, out)
            client.settimeout(0.005)
            while not ended.is_set():
                try:
                    data = client.recv(4096)
                    if not data:
                        break
                    line.write(b"".join(manager.filter(data)))
                except TimeoutError:
                    pass
                except OSError:
                    break
                while back := line.read(line.in_waiting):  # 1 or 0: pyserial knows no more
                    out.write(b"".join(manager.escape(back)))


def test_an_rfc2217_port_works(board: Board, here: Bench, image: Image, rfc2217_url: str) -> None:
    target = ProbeTarget(board, [dataclasses.replace(here, port_url=rfc2217_url)])
    assert works(target, image)
    target.close()


def test_a_server_that_speaks_no_rfc2217_is_a_lost_probe(board: Board, here: Bench) -> None:
    mute = here.port_url.replace("socket", "rfc2217") + "?timeout=0.5"
    with pytest.raises(ProbeLost, match="does not seem to support RFC2217"):
        ProbeTarget(board, [dataclasses.replace(here, port_url=mute)])


def test_a_device_that_is_no_serial_port_is_a_lost_probe(board: Board, here: Bench) -> None:
    for url in ("/dev/null", "/dev/no-such-port", "gopher://lab"):
        with pytest.raises(BenchError, match="opening serial port"):
            ProbeTarget(board, [dataclasses.replace(here, port_url=url)])
        release_quarantine(board.name)


def test_a_terminal_on_the_port_keeps_nobody_waiting(board: Board, here: Bench) -> None:
    """A pty stands for /dev/ttyACM0: opening it twice fails at once."""
    master, slave = os.openpty()
    name = os.ttyname(slave)
    first: Any = serial.Serial(name, exclusive=True)
    with pytest.raises(ProbeLost, match=r"exclusively lock|busy"):
        ProbeTarget(board, [dataclasses.replace(here, port_url=name)])
    first.close()
    ProbeTarget(board, [dataclasses.replace(here, port_url=name)]).close()
    os.close(master)
    os.close(slave)
