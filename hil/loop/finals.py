"""Measure the networks that a report shows on the test split, once, after all decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hil.store.run_folder import network_path
from hil.store.store import Final, Store
from hil.terminal import ShowProgress
from hil.trial.jobs import Jobs, result_of
from hil.trial.pool import Pool
from hil.trial.recreate import recreate
from hil.types import Trial


def measure_finals(
    trials: Iterable[Trial],
    store: Store,
    pool: Pool,
    show: ShowProgress,
    should_stop: Callable[[], bool] = lambda: False,
) -> frozenset[int]:
    """Store the test-split figures of those `trials` that have none; return the lost trials.

    A trial imported from a table has no network file: the network is first trained again
    (`recreate`), and the trial's number is returned as lost if the result differs. `show` is
    called with the share done (0..1) and a text. No job starts once `should_stop()` is true.
    Raises BenchError, Mismatch, FirmwareFault or WorkerDied.
    """
    wanted = list(trials)
    lost = recreate(
        wanted,
        store.folder,
        pool,
        lambda done, total: show(done / total, f"{done}/{total} imported networks trained again"),
        should_stop,
    )
    tested = {final.number for final in store.finals()}
    missing = [
        trial.number
        for trial in wanted
        if trial.number not in tested and network_path(store.folder, trial.number).is_file()
    ]
    waiting, jobs = list(reversed(missing)), Jobs[int, Final]()
    while True:
        while waiting and len(jobs) < pool.count and not should_stop():
            number = waiting.pop()
            jobs.add(number, pool.final(number, network_path(store.folder, number).read_bytes()))
        if not jobs:
            return lost
        for _, future in jobs.collect():
            store.add_final(result_of(future))
        done = len(missing) - len(waiting) - len(jobs)
        show(done / len(missing), f"{done}/{len(missing)} networks on the test split")
