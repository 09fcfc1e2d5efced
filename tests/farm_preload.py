"""What tests put into the workers of a farm: a log of measurements, and a death at a given moment.

Dask loads this file in each worker process that has it in DASK_DISTRIBUTED__WORKER__PRELOAD.
FARM_LOG is appended a line per finished measurement; FARM_DIES is "", "measuring" (die once, in the
middle of a measurement) or "answering" (die for good, when the first answer is about to be sent).
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from distributed import Worker

from hil import farm_worker
from hil.candidate import Context, Outcome, Prepared, measure_prepared
from hil.journal import Journal
from hil.measure import Bench


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
        Bench.measure = lambda *_: die(died)  # type: ignore[method-assign]
    if dies == "answering":
        keep = Journal.keep

        def keep_and_die(*arguments: Any) -> None:
            keep(*arguments)
            os.kill(os.getppid(), signal.SIGKILL)
            die(died)

        Journal.keep = keep_and_die  # type: ignore[method-assign]


def die(mark: Path) -> Any:
    mark.touch()
    os.kill(os.getpid(), signal.SIGKILL)
