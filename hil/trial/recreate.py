"""Networks that only a table tells of, made again from their genomes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path

from hil.search.engine import Proposal
from hil.store.run_folder import keep, kept
from hil.trial.candidate import Outcome
from hil.trial.pool import Pool
from hil.trial.workers import result_of
from hil.types import Trial


def remake(
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
    missing = deque(trial for trial in trials if not kept(folder, trial.number).is_file())
    total, done = len(missing), 0
    lost: set[int] = set()
    running: dict[Future[Outcome], Trial] = {}
    while True:
        while missing and len(running) < pool.count and not over():
            trial = missing.popleft()
            running[pool.trial(trial.number, Proposal(trial.genome))] = trial
        if not running:
            return frozenset(lost)
        show(done, total)
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            trial, again = running.pop(future), result_of(future)
            done += 1
            if again.tflite and again.trial.program_sha256 == trial.program_sha256:
                keep(folder, trial.number, again.tflite)
            else:
                lost.add(trial.number)
