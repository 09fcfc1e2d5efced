"""A batch of proposals, tried by a pool: what the store has is not run again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from compress.genome import Distill, Genome, Quantize
from hil.loop.progress import SearchProgress
from hil.loop.stop import StopRule
from hil.search.engine import Proposal
from hil.store.run_folder import save_network
from hil.store.store import Store
from hil.trial.candidate import Outcome
from hil.trial.jobs import Jobs, result_of
from hil.trial.pool import Pool
from hil.types import Trial


def run_batch(
    proposals: Sequence[Proposal],
    store: Store,
    pool: Pool,
    rule: StopRule,
    progress: SearchProgress,
) -> list[Trial]:
    """Their trials, in the order of `proposals`: from the store, or run now and stored.

    Stops starting new ones when the budget is used up, so the last batch may be short.
    """
    missing = [p for p in proposals if store.find(p.genome, p.fidelity) is None]
    waiting = deque(_longest_first(_affordable(missing, store, rule)))
    number, jobs = store.next_number(), Jobs[Proposal, Outcome]()
    while True:
        while (
            waiting
            and len(jobs) < pool.count
            and rule.may_start(store, sum(map(_counts, jobs.running)))
        ):
            proposal = waiting.popleft()
            jobs.add(proposal, pool.trial(number, proposal))
            number += 1
        if not jobs:
            break
        ended = jobs.collect()
        for _, future in ended:
            record_outcome(store, result_of(future))
        if ended:
            rule.note_energy(store)
        progress.update(store)
    found = (store.find(p.genome, p.fidelity) for p in proposals)
    return [trial for trial in found if trial is not None]


def _affordable(missing: Iterable[Proposal], store: Store, rule: StopRule) -> Iterator[Proposal]:
    """The first of them, as many as the budget allows."""
    trials = 0
    for proposal in missing:
        if not rule.may_start(store, trials):
            return
        trials += _counts(proposal)
        yield proposal


def _counts(proposal: Proposal) -> bool:
    """Whether it is a trial in the sense of a budget: screening is none."""
    return proposal.fidelity == 1.0


def _longest_first(proposals: Iterable[Proposal]) -> list[Proposal]:
    """So that no process is left with a long one while the others have run out (Graham 1969).

    What needs no training comes before: the baseline, which others are shown in ratios to.
    """
    return sorted(proposals, key=lambda p: (p.epochs > 0, -p.fidelity * _training_effort(p.genome)))


def _training_effort(genome: Genome) -> float:
    """About how long a genome's training takes, in epochs of plain fine-tuning.

    Fitted to the 275 stages that a search of kws trained (residual 3 s of 16), and good enough to
    say what to start first: simulated on that search's batches, processes wait 106 s in all for the
    last ones, and 191 s if ordered by epochs alone.
    """
    total, rounding = 0.0, 0.0
    for stage in genome.stages:
        if isinstance(stage, Quantize):  # from here on, training feels the rounding
            rounding = 1.2 if stage.learn_ranges else 0.8
        teaching = 0.0
        if isinstance(stage, Distill):
            teaching += 0.8 if stage.features != "none" else 0.0
            teaching += 0.7 if stage.teacher != "original" else 0.0
        total += stage.epochs * (1.0 + rounding + teaching)
    return total


def record_outcome(store: Store, outcome: Outcome) -> None:
    """Keep the network's file first, then commit the trial: a trial in the store is complete."""
    if outcome.tflite:
        save_network(store.folder, outcome.trial.number, outcome.tflite)
    store.add(outcome.trial)
