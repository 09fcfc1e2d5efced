"""Train the networks of imported trials again: a table has genomes and figures, no networks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from hil.search.engine import Proposal
from hil.store.run_folder import network_path, save_network
from hil.trial.candidate import Outcome
from hil.trial.jobs import Jobs, result_of
from hil.trial.pool import Pool
from hil.types import Trial


def recreate(
    trials: Iterable[Trial],
    folder: Path,
    pool: Pool,
    show: Callable[[int, int], None],
    should_stop: Callable[[], bool] = lambda: False,
) -> frozenset[int]:
    """Train again the `trials` whose network is missing in `folder`; return the lost ones.

    A network is saved if its program is the same, byte for byte; otherwise the trial's number is
    returned as lost. That happens with another kind of processor, firmware or package version.
    `show` is called with the number of networks done and the total. No job starts once
    `should_stop()` is true. Raises BenchError, Mismatch, FirmwareFault or WorkerDied.
    """
    missing = deque(trial for trial in trials if not network_path(folder, trial.number).is_file())
    total, done = len(missing), 0
    lost: set[int] = set()
    jobs = Jobs[Trial, Outcome]()
    while True:
        while missing and len(jobs) < pool.count and not should_stop():
            trial = missing.popleft()
            proposal = Proposal(trial.genome, repeat=trial.repeat)
            jobs.add(trial, pool.trial(trial.number, proposal))
        if not jobs:
            return frozenset(lost)
        show(done, total)
        for trial, future in jobs.collect():
            again = result_of(future)
            done += 1
            if again.tflite and again.trial.program_sha256 == trial.program_sha256:
                save_network(folder, trial.number, again.tflite)
            else:
                lost.add(trial.number)
