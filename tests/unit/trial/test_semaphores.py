"""Semaphores of pools that are killed with all of their processes are removed by the next start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from compress.scratch import SCRATCH, SEMAPHORES, sweep_temporary

pytestmark = pytest.mark.skipif(not SEMAPHORES.is_dir(), reason="semaphores are no files here")

HOLDER = """
import multiprocessing, sys, time
from concurrent.futures import ProcessPoolExecutor
import joblib  # which names semaphores, too
from contextlib import ExitStack
from hil.trial.semaphores import make_pool
context = multiprocessing.get_context("spawn")
with ExitStack() as opened:
    pool = make_pool(lambda: ProcessPoolExecutor(1, context), opened)
    print(pool.submit(abs, -7).result(), flush=True)
    sys.stdin.read(1)
    if sys.argv[1:] == ["kill"]:
        from multiprocessing import resource_tracker
        import os, signal
        tracker = resource_tracker._resource_tracker._pid
        os.kill(tracker, signal.SIGKILL)
        os.waitpid(tracker, 0)
        print(pool.submit(abs, -8).result(), flush=True)
"""


def semaphores() -> set[Path]:
    return set(SEMAPHORES.glob(f"sem.{SCRATCH}*"))


def held_by(pid: int) -> set[Path]:
    """The semaphores that a process has locked; other tests make pools at the same time."""
    opened = {link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir()}
    return opened & semaphores()


@pytest.mark.parametrize("killed", [True, False])
def test_what_a_killed_pool_left_is_swept_and_what_is_in_use_is_not(killed: bool) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "7\n"
        own = held_by(process.pid)
        assert own
        sweep_temporary()
        assert own <= semaphores()
        if killed:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.stdin.write("\n")
            process.stdin.flush()
        process.wait(60)
    assert (own <= semaphores()) == killed
    sweep_temporary()
    assert not own & semaphores()


LEAK = """
import multiprocessing, os
from hil.trial.semaphores import start_resource_tracker
start_resource_tracker()
leaked = multiprocessing.get_context("spawn").Semaphore()
os._exit(0)
"""


def test_semaphores_of_a_process_that_dies_are_removed_without_a_word() -> None:
    command = [sys.executable, "-c", LEAK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_pool_ends_without_a_word_when_the_process_that_tracks_was_killed() -> None:
    command = [sys.executable, "-c", HOLDER, "kill"]
    done = subprocess.run(command, input="\n", capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "7\n8\n", "")
