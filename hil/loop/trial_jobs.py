"""Proposals as jobs of a pool: one each, but looks at one elastic network many together."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from compress.genome import Stage
from hil.search.engine import Proposal
from hil.store.run_folder import save_network
from hil.store.store import Store
from hil.trial.candidate import Outcome
from hil.trial.inherited import prefix_of
from hil.trial.pool import Pool

# Sub-networks of an elastic network that one job looks at, at most.
_MOST_LOOKS = 16
Job = tuple[Proposal, ...]


def in_jobs(proposals: Sequence[Proposal], processes: int) -> list[Job]:
    """The proposals as jobs, in the order of their first ones.

    Looks at the same elastic network (`Proposal.is_inherited`) share jobs of at most `_MOST_LOOKS`,
    and so many jobs that all processes work.
    """
    alike: dict[tuple[Stage, ...], list[Proposal]] = {}
    for one in proposals:
        if one.is_inherited:
            alike.setdefault(prefix_of(one), []).append(one)
    jobs: list[Job] = []
    for one in proposals:
        if not one.is_inherited:
            jobs.append((one,))
            continue
        looks = alike.pop(prefix_of(one), [])
        size = min(_MOST_LOOKS, -(-len(looks) // (2 * processes)))
        jobs += [tuple(looks[i : i + size]) for i in range(0, len(looks), max(1, size))]
    return jobs


def submitted(pool: Pool, number: int, job: Job) -> Future[list[Outcome]]:
    """The future of a job, whose trials are numbered from `number` on."""
    if job[0].is_inherited:
        return pool.inherited(number, job)
    return _in_list(pool.trial(number, job[0]))


def record_outcomes(store: Store, outcomes: Sequence[Outcome]) -> None:
    """Write the networks' files, then commit the trials of a job together.

    In this order a trial in the store always has its network, also after a crash in between.
    """
    with store.transaction():
        for outcome in outcomes:
            if outcome.tflite:
                save_network(store.folder, outcome.trial.number, outcome.tflite)
            store.add(outcome.trial)


def _in_list(future: Future[Outcome]) -> Future[list[Outcome]]:
    """A future with the result in a list, or the same error."""
    made: Future[list[Outcome]] = Future()

    def ended(done: Future[Outcome]) -> None:
        if done.cancelled():
            made.cancel()
        elif (error := done.exception()) is not None:
            made.set_exception(error)
        else:
            made.set_result([done.result()])

    future.add_done_callback(ended)
    return made
