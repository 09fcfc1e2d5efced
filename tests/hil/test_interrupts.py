"""Ctrl-C and SIGTERM in the first seconds of a search: one line, its exit code, nobody left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from helpers.checkout import ROOT

LIMIT_S = 60  # only ends a hang
# Seconds after the command handles signals. It imports for some of them, and trains then.
MOMENTS = (
    *((signal.SIGINT, delay_s) for delay_s in (0.1, 0.7, 2.0, 4.0)),
    *((signal.SIGTERM, delay_s) for delay_s in (0.3, 3.0)),
)


def started(folder: Path) -> subprocess.Popen[str]:
    """A search in a session of its own."""
    folder.mkdir()
    return subprocess.Popen(
        [sys.executable, "-m", "hil", "evolve", "--run", "one"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell's background job, and so these tests in one, would hand down that it is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_until_it_handles_signals(process: subprocess.Popen[str]) -> None:
    """Python itself handles SIGINT only; SIGTERM is handled from the first line of hil on."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = re.search(r"SigCgt:\s*([0-9a-f]+)", status)
        if caught and int(caught[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)


def left_of(session: int) -> list[str]:
    """The processes of a session, a moment after its leader ended; the tracker takes that long."""
    deadline = time.monotonic() + 5
    while True:
        left = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if os.getsid(int(process.name)) == session:
                    left.append((process / "cmdline").read_text().replace("\0", " "))
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def test_a_signal_ends_a_search_that_has_just_begun(tmp_path: Path) -> None:
    for index in range(0, len(MOMENTS), 2):  # two at a time, for two processors
        pair = MOMENTS[index : index + 2]
        running = [started(tmp_path / f"{number.name}-{delay_s}") for number, delay_s in pair]
        for process in running:
            wait_until_it_handles_signals(process)
        began = time.monotonic()
        for process, (number, delay_s) in zip(running, pair, strict=True):
            time.sleep(max(0.0, began + delay_s - time.monotonic()))
            os.killpg(process.pid, number)  # as a terminal does
        for process, (number, delay_s) in zip(running, pair, strict=True):
            out, err = process.communicate(timeout=LIMIT_S)
            assert process.returncode == 128 + number, (delay_s, err)
            assert out == "", delay_s
            assert err.splitlines()[-1] == "hil: interrupted", (delay_s, err)
            for word in ("Traceback", "Exception ignored", "resource_tracker", "leaked", "Abort"):
                assert word not in err, (delay_s, err)
            assert left_of(process.pid) == [], delay_s


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    """The first one, which the command is slow to obey, is not waited for."""
    code = (
        "from hil.interruption import install; import time; install()\n"
        "try:\n    print('ready', flush=True); time.sleep(60)\n"
        "finally:\n    print('slow', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        for line in ("ready\n", "slow\n"):
            assert process.stdout.readline() == line
            process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, err) == (130, "hil: interrupted\n")
