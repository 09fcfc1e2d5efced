"""Run a batch of proposals in a pool; proposals that the store already has are not run again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from compress.genome import Distill, Elastic, Genome, Quantize
from hil.loop.progress import SearchProgress
from hil.loop.stop import StopRule
from hil.loop.trial_jobs import Job, in_jobs, record_outcomes, submitted
from hil.search.engine import NETWORKS_PER_STEP, Proposal
from hil.store.store import Store
from hil.trial.candidate import Outcome
from hil.trial.jobs import Jobs, result_of
from hil.trial.pool import Pool, Watched
from hil.types import Trial


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
    looks = [proposal for proposal in affordable if proposal.is_inherited]
    others = _longest_first(p for p in affordable if not p.is_inherited)
    waiting = deque(in_jobs([*others, *looks], pool.count))
    number, jobs = store.next_number(), Jobs[Job, list[Outcome]]()
    while True:
        while (
            waiting
            and len(jobs) < pool.count
            and rule.may_start(store, sum(_counts(one) for job in jobs.running for one in job))
        ):
            job = waiting.popleft()
            jobs.add(job, submitted(pool, number, job))
            number += len(job)
        if not jobs:
            break
        ended = jobs.collect()
        for _, future in ended:
            outcomes = result_of(future)
            record_outcomes(store, outcomes)
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
        networks = NETWORKS_PER_STEP if isinstance(stage, Elastic) else 1.0
        total += stage.epochs * networks * (1.0 + quantization + distillation)
    return total
