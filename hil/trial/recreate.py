"""Networks that only a table tells of, made again from their genomes."""

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
    over: Callable[[], bool] = lambda: False,
) -> frozenset[int]:
    """Make those of the measured `trials` that `folder` has no network of; the numbers of the lost.

    One counts if it comes out the same to the byte of its program, and is lost otherwise: on
    another kind of processor, or with another firmware or package, it may. `show` is told how many
    are done, and of how many; none is begun once it is `over`. Raises what trying a candidate
    raises.
    """
    missing = deque(trial for trial in trials if not network_path(folder, trial.number).is_file())
    total, done = len(missing), 0
    lost: set[int] = set()
    jobs = Jobs[Trial, Outcome]()
    while True:
        while missing and len(jobs) < pool.count and not over():
            trial = missing.popleft()
            jobs.add(trial, pool.trial(trial.number, Proposal(trial.genome)))
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
