"""Run a batch of proposals in a pool; proposals that the store already has are not run again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future

from compress.genome import Distill, Elastic, Genome, Quantize, Stage
from hil.loop.progress import SearchProgress
from hil.loop.stop import StopRule
from hil.search.engine import Proposal
from hil.store.run_folder import save_network
from hil.store.store import Store
from hil.trial.candidate import Outcome
from hil.trial.inherited import prefix_of
from hil.trial.jobs import Jobs, result_of
from hil.trial.pool import Pool, Watched
from hil.types import Trial

# Sub-networks of an elastic network that one job looks at, at most.
_MOST_LOOKS = 16


def run_batch(
    proposals: Sequence[Proposal],
    store: Store,
    pool: Pool,
    rule: StopRule,
    progress: SearchProgress,
) -> list[Trial]:
    """Try the proposals that are not in the store; return the trials in the order of `proposals`.

    No trial starts once the budget is used up, so the last batch may be incomplete. Raises
    BenchError, Mismatch, FirmwareFault or WorkerDied; trials that ended before are stored.
    """
    missing = [p for p in proposals if _find(store, p) is None]
    affordable = list(_affordable(missing, store, rule))
    waiting = deque(_in_jobs(affordable, pool.count))
    number, jobs = store.next_number(), Jobs[tuple[Proposal, ...], list[Outcome]]()
    while True:
        while (
            waiting
            and len(jobs) < pool.count
            and rule.may_start(store, sum(_counts(one) for job in jobs.running for one in job))
        ):
            job = waiting.popleft()
            jobs.add(job, _submitted(pool, number, job))
            number += len(job)
        if not jobs:
            break
        ended = jobs.collect()
        for _, future in ended:
            outcomes = result_of(future)
            with store.transaction():
                for outcome in outcomes:
                    record_outcome(store, outcome)
            for outcome in outcomes:
                progress.note_unjudged(outcome.trial)
        if ended:
            rule.note_energy(store)
        trainings = pool.trainings() if isinstance(pool, Watched) else ()
        progress.update(store, running=len(jobs), trainings=trainings)
    found = (_find(store, proposal) for proposal in proposals)
    return [trial for trial in found if trial is not None]


def _find(store: Store, proposal: Proposal) -> Trial | None:
    return store.find(proposal.genome, proposal.fidelity, proposal.repeat)


def _in_jobs(proposals: Sequence[Proposal], processes: int) -> list[tuple[Proposal, ...]]:
    """The proposals as jobs: one each, but several looks at one elastic network together.

    Looks come last, in jobs of at most `_MOST_LOOKS`, and so many jobs that all processes work.
    """
    jobs: list[tuple[Proposal, ...]] = [
        (one,) for one in _longest_first(p for p in proposals if not p.is_inherited)
    ]
    looks: dict[tuple[Stage, ...], list[Proposal]] = {}
    for one in proposals:
        if one.is_inherited:
            looks.setdefault(prefix_of(one), []).append(one)
    for alike in looks.values():
        size = min(_MOST_LOOKS, -(-len(alike) // (2 * processes)))
        jobs += [tuple(alike[i : i + size]) for i in range(0, len(alike), size)]
    return jobs


def _submitted(pool: Pool, number: int, job: tuple[Proposal, ...]) -> Future[list[Outcome]]:
    """The future of a job, whose trials are numbered from `number` on."""
    if job[0].is_inherited:
        return pool.inherited(number, job)
    return _in_list(pool.trial(number, job[0]))


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


def _affordable(missing: Iterable[Proposal], store: Store, rule: StopRule) -> Iterator[Proposal]:
    """Yield the first proposals, as many as the budget allows."""
    trials = 0
    for proposal in missing:
        if not rule.may_start(store, trials):
            return
        trials += _counts(proposal)
        yield proposal


def _counts(proposal: Proposal) -> bool:
    """True if the proposal counts against the trial budget; screening (fidelity < 1) does not."""
    return proposal.fidelity == 1.0


def _longest_first(proposals: Iterable[Proposal]) -> list[Proposal]:
    """The proposals by decreasing training effort, those without training first.

    Longest-processing-time-first scheduling (R. L. Graham, "Bounds on Multiprocessing Timing
    Anomalies", 1969): no process trains a long candidate while the others have nothing left to do.
    Proposals without training go first because the baseline is one, and the progress line and the
    engines need it.
    """
    return sorted(proposals, key=lambda p: (p.epochs > 0, -p.fidelity * _training_effort(p.genome)))


def _training_effort(genome: Genome) -> float:
    """Estimated training time of a genome, in epochs of plain fine-tuning.

    Each stage costs epochs * (1 + quantization + distillation). The factors were fitted to the 275
    stages that a search of the task kws trained (residual 3 s of 16 s). Only the order matters:
    simulated on that search's batches, processes idle 106 s in all at the ends of batches, and
    191 s if ordered by epochs alone.
    """
    total, quantization = 0.0, 0.0
    for stage in genome.stages:
        if isinstance(stage, Quantize):  # this and all later stages train with fake quantization
            quantization = 1.2 if stage.learn_ranges else 0.8
        distillation = 0.0
        if isinstance(stage, Distill):
            distillation += 0.8 if stage.features != "none" else 0.0
            distillation += 0.7 if stage.teacher != "original" else 0.0
        # Four sub-networks a step: on kws, in seconds, three times the widest one alone.
        networks = 3.0 if isinstance(stage, Elastic) else 1.0
        total += stage.epochs * networks * (1.0 + quantization + distillation)
    return total


def record_outcome(store: Store, outcome: Outcome) -> None:
    """Write the network's file, then commit the trial.

    In this order a trial in the store always has its network, also after a crash in between.
    """
    if outcome.tflite:
        save_network(store.folder, outcome.trial.number, outcome.tflite)
    store.add(outcome.trial)
