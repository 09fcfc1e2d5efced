"""Workers that start while their parent is killed or interrupted, or that die: nobody is left.

A program of its own makes the worker; what happens to it, the worker does while it imports the
program's module: that is after it was handed its work, and before it can have looked for its
parent.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from helpers.checkout import ROOT
from hil.trial.jobs import WORKER_DIED

_PROGRAM = """
import os, signal, sys, time
from functools import partial

def start(ballast):
    print("began", flush=True)

if __name__ == "__mp_main__":  # the name that a worker imports this module under
    parent, how = int(os.environ["PARENT"]), os.environ["HOW"]
    if how == "die":
        os._exit(3)
    if how in ("kill", "interrupt") and os.getppid() == parent:
        os.kill(parent, signal.SIGKILL) if how == "kill" else os.killpg(0, signal.SIGINT)
    time.sleep(0.2)

if __name__ == "__main__":
    from hil.trial.jobs import WorkerDied, result_of
    from hil.trial.workers import Workers
    os.environ["PARENT"] = str(os.getpid())

    def busy(number, frame):
        time.sleep(1)
        raise KeyboardInterrupt

    def no_thread(self):
        raise RuntimeError("can't start new thread")

    signal.signal(signal.SIGINT, busy)
    if os.environ["HOW"] == "no thread":
        import threading
        from concurrent.futures import process
        from multiprocessing.queues import Queue
        where = (process._ExecutorManagerThread, "start"), (threading.Timer, "start")
        setattr(*(*where, (Queue, "_start_thread"))[int(sys.argv[1])], no_thread)
    try:
        with Workers(1, partial(start, bytes(int(sys.argv[1])))) as workers:
            if os.environ["HOW"] in ("die", "no thread"):
                result_of(workers.submit(print))
            time.sleep(60)
    except (RuntimeError, WorkerDied) as error:
        print(error)
    except KeyboardInterrupt:
        print("interrupted")
"""


def run(folder: Path, how: str, ballast: int) -> tuple[int, str, str]:
    """Exit code, stdout and stderr, once the program and all its processes have ended."""
    program = folder / "program.py"
    program.write_text(_PROGRAM)
    process = subprocess.Popen(
        [sys.executable, str(program), str(ballast)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOW": how},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=40)  # to the end of the last that could write
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode, out, err


@pytest.mark.parametrize("ballast", [0, 10**6], ids=["all is handed over", "half of it is"])
def test_no_worker_outlives_a_parent_killed_while_it_starts(tmp_path: Path, ballast: int) -> None:
    code, out, _ = run(tmp_path, "kill", ballast)
    assert (code, out) == (-signal.SIGKILL, "")


def test_ctrl_c_while_workers_start_is_the_parents_alone(tmp_path: Path) -> None:
    code, out, err = run(tmp_path, "interrupt", 0)
    assert (code, err) == (0, "")
    assert "interrupted" in out


@pytest.mark.parametrize("ballast", [0, 10**6], ids=["little", "more than a pipe holds"])
def test_a_worker_that_dies_while_it_starts_is_told(tmp_path: Path, ballast: int) -> None:
    code, out, _ = run(tmp_path, "die", ballast)
    assert code == 0
    assert "a worker process died" in out


@pytest.mark.parametrize("which", [0, 1, 2], ids=["for the pool", "to end it", "for its jobs"])
def test_no_worker_is_left_where_the_system_gives_no_thread(tmp_path: Path, which: int) -> None:
    code, out, err = run(tmp_path, "no thread", which)
    assert (code, err) == (0, "")
    # Python 3.12 ends a pool that cannot hand out its jobs by itself, without saying why.
    ends_itself = which == 2 and sys.version_info >= (3, 12)
    assert out.endswith(f"{WORKER_DIED}\n" if ends_itself else "can't start new thread\n")
