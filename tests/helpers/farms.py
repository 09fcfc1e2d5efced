"""Farms of real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import distributed

from helpers import farm_preload

CODE = (
    "import sys, typer; from hil.cli import farm; from hil.cli.main import errors_as_lines\n"
    "app = typer.Typer(); farm.register(app)\n"
    "with errors_as_lines(): app()"
)
LIMIT_S = 300.0  # more than a worker is given to start, which only a loaded machine needs


@dataclass
class Farm:
    """A farm of processes started by `hil farm`, all with one private cache.

    `errors` is where the next ones write theirs, instead of to ours; `settings` are environment
    variables that they get.
    """

    folder: Path
    address: str = ""
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    errors: IO[str] | None = None
    settings: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, dies: str = "", first: str = "") -> subprocess.Popen[str]:
        """Start `hil farm ...`; returns once it is ready. Python code `first` runs before."""
        environment = {
            **os.environ,
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "DASK_DISTRIBUTED__WORKER__PRELOAD": farm_preload.__file__,
            "PYTHONPATH": os.pathsep.join(map(str, Path(farm_preload.__file__).parents[1:3])),
            "FARM_LOG": str(self.folder / "log"),
            "FARM_DIES": dies,
            **self.settings,
        }
        process = subprocess.Popen(
            [sys.executable, "-c", first + CODE, "farm", *arguments, "--json"],
            cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=self.errors,
            text=True, start_new_session=True,
        )  # fmt: skip
        self.processes.append(process)
        assert process.stdout is not None
        timer = threading.Timer(LIMIT_S, process.kill)
        timer.start()
        ready = process.stdout.readline()
        timer.cancel()
        assert ready, f"{arguments} ended with {process.wait()}"
        self.address = json.loads(ready)["address"]
        return process

    def work(self, *arguments: str, dies: str = "", first: str = "") -> subprocess.Popen[str]:
        return self.run("worker", self.address, *arguments, dies=dies, first=first)

    def log(self) -> list[tuple[tuple[str, float], str]]:
        """(genome key, fidelity) and worker kind of each measurement."""
        lines = (self.folder / "log").read_text().splitlines()
        parts = [line.split() for line in lines]
        return [((key, float(fidelity)), worker) for key, fidelity, worker in parts]


@contextmanager
def farm_of_one_worker(folder: Path) -> Iterator[Farm]:
    """A farm of a scheduler and a training worker; at the end every process is killed."""
    farm = Farm(folder)
    try:
        farm.run("scheduler", "--port", "0")
        farm.work()
        yield farm
    finally:
        for process in farm.processes:
            kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    """Send SIGKILL to a worker and its child processes."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(LIMIT_S)
    assert process.stdout is not None
    process.stdout.close()


def train(session: str, folder: Path) -> None:
    """The job of a worker that is in a training of this search until `folder` has a file "seen"."""
    from compress.training.progress import tell_epochs
    from hil.farm.trainings import training_told

    with training_told(session):
        tell_epochs(3.0, 8.0)
        until = time.monotonic() + LIMIT_S
        while not (folder / "seen").exists() and time.monotonic() < until:
            time.sleep(0.05)


def deaths_by_job(dask_scheduler: distributed.Scheduler) -> dict[str, int]:
    """The number of workers that died while running each job; runs in the scheduler."""
    return {str(key): task.suspicious for key, task in dask_scheduler.tasks.items()}
