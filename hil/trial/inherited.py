"""Sub-networks of one elastic network, looked at many at a time: a job of a pool."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from compress.elastic.inherited import inherited_accuracies
from compress.errors import Infeasible
from compress.genome import Pick, Stage
from compress.pipeline.network import Network
from compress.pipeline.pipeline import run_stages
from compress.types import StageCost
from hil.search.engine import Proposal
from hil.trial.candidate import Context, Outcome, blank_trial
from hil.types import Trial

# Samples of the screening half: the standard error at 90 % is 0.8 points.
INHERITED_SAMPLES = 1_440


def prefix_of(proposal: Proposal) -> tuple[Stage, ...]:
    """The stages before the pick of an inherited proposal (`Proposal.is_inherited`)."""
    return proposal.genome.stages[:-2]


def look_at(context: Context, number: int, proposals: Sequence[Proposal]) -> list[Outcome]:
    """Judge sub-networks with the same `prefix_of` by inherited accuracy; numbers count up.

    The elastic network is trained unless the prefix cache has it. A trial has an equal share of the
    job's time. Each sub-network that does not apply gives an infeasible trial.
    """
    started = time.monotonic()
    prefix = prefix_of(proposals[0])
    try:
        snapshot = run_stages(prefix, context.original, context.cache)
    except Infeasible as error:
        return [
            Outcome(_infeasible(context, number + i, one, error)) for i, one in enumerate(proposals)
        ]
    trained = sum(cost.seconds for cost in snapshot.costs if not cost.cached)
    found = _found(context, snapshot.network, [one.genome.stages[-2] for one in proposals])
    each = (time.monotonic() - started - trained) / len(proposals)
    outcomes = []
    for i, (one, result) in enumerate(zip(proposals, found, strict=True)):
        if isinstance(result, Infeasible):
            outcomes.append(Outcome(_infeasible(context, number + i, one, result)))
            continue
        own = snapshot.costs if i == 0 else _cached(snapshot.costs)
        trial = replace(
            blank_trial(context, number + i, one),
            state="screened",
            accuracy=result,
            seconds={"inherited": round(each + (trained if i == 0 else 0.0), 3)},
            costs=own,
        )
        outcomes.append(Outcome(trial))
    return outcomes


def _found(
    context: Context, network: Network, stages: Sequence[Stage]
) -> Sequence[float | Infeasible]:
    """The inherited accuracy of each pick, or why it does not apply."""
    picks = [stage for stage in stages if isinstance(stage, Pick)]
    try:
        return inherited_accuracies(network, picks, context.original, INHERITED_SAMPLES)
    except Infeasible as error:
        if len(picks) == 1:
            return (error,)
    return [_found(context, network, (pick,))[0] for pick in picks]


def _infeasible(context: Context, number: int, one: Proposal, error: Infeasible) -> Trial:
    return replace(blank_trial(context, number, one), reason=str(error), violation=1.0)


def _cached(costs: tuple[StageCost, ...]) -> tuple[StageCost, ...]:
    return tuple(replace(cost, cached=True) for cost in costs)
