"""What another user of the machine could connect to while an emulated board is open: nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from helpers.reports import make
from hil.emulator.plugin import QEMU
from hil.emulator.process import Emulator
from hil.emulator.sandbox import sandbox_arguments
from hil.report.live import LiveRun, LiveServer
from hil.target.target_qemu import QemuTarget
from hil.types import Board, Image

pytestmark = pytest.mark.usefixtures("emulated", "watchdog")

# Run in another process: connect to each port; print those that answered.
INTRUDER = """
import json, socket, sys
answered = []
for port in json.loads(sys.argv[1]):
    for host in ("127.0.0.1", "::1"):
        try:
            socket.create_connection((host, port), 2).close()
        except OSError:
            continue
        answered.append(port)
print(json.dumps(answered))
"""


def with_descendants(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from with_descendants(int(child))


def listening(pids: set[int]) -> tuple[set[int], set[str]]:
    """The TCP ports and the paths of unix sockets on which processes listen."""
    inodes = set()
    for pid in pids:
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed since, such as that of this listing
                target = os.readlink(handle)
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
    ports = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:  # 0A: TCP_LISTEN
                ports.add(int(fields[1].rpartition(":")[2], 16))
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    accepting = [line for line in lines if int(line[3], 16) & 1 << 16]  # __SO_ACCEPTCON
    return ports, {line[7] for line in accepting if line[6] in inodes and len(line) > 7}


def connected_to(ports: set[int]) -> list[int]:
    command = [sys.executable, "-c", INTRUDER, json.dumps(sorted(ports))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found: list[int] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's tables of sockets")
def test_nothing_listens_while_an_emulated_board_runs(board: Board, image: Image) -> None:
    with socket.create_server(("127.0.0.1", 0)) as own:  # the search itself must find something
        before = listening({os.getpid()})
        port = own.getsockname()[1]
        assert port in before[0]
        assert connected_to({port}) == [port]
        target = QemuTarget(board)
        try:
            target.load(image)
            family = set(with_descendants(os.getpid()))
            assert target.emulator.pid in family
            after = listening(family)
            assert after == before
            assert connected_to(after[0] - {port}) == []
        finally:
            target.close()


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's tables of sockets")
def test_a_dashboard_listens_for_its_reader_alone(tmp_path: Path) -> None:
    """One port, on the loopback interface; who connects without the token gets nothing."""
    make(tmp_path)
    run = LiveRun(tmp_path)
    run.look()
    before = listening({os.getpid()})
    with LiveServer(run) as server:
        server.start()
        after = listening({os.getpid()})
        assert (after[0] - before[0], after[1]) == ({server.server_port}, before[1])
        table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        ours = f":{server.server_port:04X}"
        assert {line[1] for line in table if line[3] == "0A" and line[1].endswith(ours)} == {
            f"0100007F{ours}"  # 127.0.0.1
        }
        with socket.create_connection(("127.0.0.1", server.server_port), 30) as intruder:
            intruder.sendall(f"GET / HTTP/1.0\r\nHost: 127.0.0.1{ours}\r\n\r\n".encode())
            assert intruder.makefile().readline().split()[1] == "403"
        server.stop()
    assert listening({os.getpid()}) == before


def send(connection: socket.socket, packet: bytes) -> None:
    connection.sendall(b"$%b#%02x" % (packet, sum(packet) & 0xFF))


def test_even_who_holds_the_gdbstub_starts_no_program(board: Board, tmp_path: Path) -> None:
    """The monitor runs commands (`migrate "exec:..."`); the sandbox ends QEMU at the attempt."""
    emulator = Emulator(board)
    proof = tmp_path / "ran"
    try:
        if not sandbox_arguments(shutil.which(QEMU) or ""):
            pytest.skip("this QEMU has no seccomp")
        emulator.gdb.settimeout(20)
        send(emulator.gdb, b"qSupported")
        answer = b""
        while b"#" not in answer:  # the acknowledgment may come alone
            answer += emulator.gdb.recv(4096)
        assert b"PacketSize" in answer
        command = f'migrate "exec:touch {proof}"'
        send(emulator.gdb, b"qRcmd," + command.encode().hex().encode())
        assert emulator.wait(20) == -signal.SIGSYS
        time.sleep(0.2)
        assert not proof.exists()
    finally:
        emulator.kill()
