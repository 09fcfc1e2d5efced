"""Preload of farm workers under test: logs measurements, kills the worker at a given moment.

Dask loads this file in each worker process that has it in DASK_DISTRIBUTED__WORKER__PRELOAD.
FARM_LOG is appended a line per finished measurement; FARM_DIES is "", "measuring" (die once, in the
middle of a measurement, when the other has died) or "answering" (die for good, when the first
answer is about to be sent).
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from distributed import Worker

from hil.farm import worker as farm_worker
from hil.farm.journal import Journal
from hil.measure.measure import BoardRunner
from hil.trial.candidate import Context, Outcome, Prepared, measure_prepared


def dask_setup(worker: Worker) -> None:
    log, dies = Path(os.environ["FARM_LOG"]), os.environ.get("FARM_DIES", "")

    def logged(context: Context, prepared: Prepared) -> Outcome:
        outcome = measure_prepared(context, prepared)
        trial = outcome.trial
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{trial.genome.key} {trial.fidelity} {dies or 'lives'}\n")
        return outcome

    farm_worker.measure_prepared = logged
    died = log.with_name(f"died-{dies}")
    if dies == "measuring" and not died.exists():
        other = log.with_name("died-answering")
        BoardRunner.measure = lambda *_: die(died, after=other)  # type: ignore[method-assign]
    if dies == "answering":
        keep = Journal.keep

        def keep_and_die(*arguments: Any) -> None:
            keep(*arguments)
            os.kill(os.getppid(), signal.SIGKILL)
            die(died)

        Journal.keep = keep_and_die  # type: ignore[method-assign]


def die(mark: Path, after: Path | None = None) -> Any:
    """Kill this process, once `after` exists: otherwise one bench might get all jobs."""
    until = time.monotonic() + 60.0
    while after is not None and not after.exists() and time.monotonic() < until:
        time.sleep(0.05)
    mark.touch()
    os.kill(os.getpid(), signal.SIGKILL)
