"""An emulator killed during a measurement: it is retried, and given up after the last attempt.

Faults of QEMU alone are tested in test_target_qemu.py.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from helpers.faults import BadLine
from helpers.programs import run_once
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.errors import NoReply, ProbeLost
from hil.measure.measure import BoardRunner
from hil.measure.smoke_network import smoke_graph, smoke_samples
from hil.target import wire
from hil.target.link import Port
from hil.target.serial_port import open_port
from hil.target.target_qemu import QemuTarget
from hil.types import Board, Image

pytestmark = pytest.mark.usefixtures("emulated", "watchdog")

RUN_TIMEOUT_S = 20.0


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
        """Kill the first emulator, sooner or later."""
        target = QemuTarget(board)
        opened.append(target)
        if len(opened) == 1:
            threading.Thread(target=kill_later, args=(target.emulator.pid, delay_s)).start()
        return target

    with BoardRunner(board, open_doomed) as runner:
        first = runner.measure(image, plan, samples)
        while len(opened) == 1:  # measured before the kill
            again = runner.measure(image, plan, samples)
            assert again == first
        assert runner.measure(image, plan, samples) == first
    assert len(opened) == 2


def kill_later(pid: int, delay_s: float) -> None:
    time.sleep(delay_s)
    os.kill(pid, signal.SIGKILL)


def test_a_bench_gives_up_after_three_emulators_with_the_last_transcript(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(smoke_graph(), board)
    image = build(render(plan, board), board, tmp_path)
    monkeypatch.setattr("hil.measure.batch._START_S", 0.3)
    opened = []

    def open_mute(board: Board) -> QemuTarget:
        """A target on a line that loses every RUN."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "hil.target.target_pyocd.open_port", lambda url: swallow_runs(open_port(url))
            )
            opened.append(QemuTarget(board))
        return opened[-1]

    with BoardRunner(board, open_mute) as runner, pytest.raises(NoReply, match="to RUN") as caught:
        runner.measure(image, plan, smoke_samples(plan.graph))
    assert "[RUN]" in caught.value.transcript
    assert len(opened) == 3
    assert [target.emulator.wait(0) for target in opened] == [-signal.SIGKILL] * 3


def swallow_runs(port: Port) -> BadLine:
    line = BadLine(port)
    line.to_firmware = lambda frame: (
        b"" if wire.decode(frame.strip(b"\0")).kind == wire.FrameKind.RUN else frame
    )
    return line
