"""Which engine a search uses where the user names none: by cost, told in one line.

An elastic network is trained before any sub-network of it can be tried. That pays where enough of
the budget is left for candidates, and where there are widths to choose from. A run keeps the engine
of its first session: times differ, and so would the search.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import ceil
from typing import Protocol

from compress.pipeline.network import Original
from compress.tracing.normalize import copied
from compress.training.train import Schedule, fit, loss_of
from hil import formatting
from hil.elastic.engine import ELASTIC_LENGTH
from hil.elastic.network_lattice import lattice_of
from hil.elastic.tails import RUNGS
from hil.search.engine import NETWORKS_PER_STEP
from hil.search.registry import AUTO, ENGINES
from hil.store.store import Store

_FEWEST_CANDIDATES = 10
# The networks that are profiled and those that are built without training come first: on digits 40
# to 80 of them. With fewer trials than this most of the budget would be gone before fine-tuning.
_FEWEST_TRIALS = 100
_FEWEST_SHAPES = 32
_MOST_OF_BUDGET = 1 / 3  # that training the elastic network may take
# Distillation under fake quantization takes about twice the time of plain training, and a
# candidate on average the second rung; building and measuring comes on top.
_TUNING_FACTOR = 2.0
_BUILD_S = 3.0
_TIMED_STEPS = 6


class Asked(Protocol):
    """The settings of a search that the choice depends on."""

    @property
    def engine(self) -> str: ...
    @property
    def trials(self) -> int: ...
    @property
    def minutes(self) -> float: ...
    @property
    def processes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class ElasticCost:
    """What an elastic search would take: seconds to train the elastic network (one process), and
    candidates that the rest of the budget can train on; `shapes` is the number of sub-networks.
    """

    seconds: float
    share: float
    candidates: int
    shapes: int

    @property
    def pays(self) -> bool:
        enough = self.shapes >= _FEWEST_SHAPES and self.candidates >= _FEWEST_CANDIDATES
        return enough and self.share <= _MOST_OF_BUDGET


def engine_for(settings: Asked, original: Original, store: Store) -> tuple[str, str]:
    """The name of the engine and the line that says why."""
    if settings.engine != AUTO:
        return settings.engine, f"engine {settings.engine}, as asked for"
    former = [one.engine for one in store.sessions()[:-1] if one.engine in ENGINES]
    if former:
        return former[-1], f"engine {former[-1]}, as in this run's sessions before"
    if settings.trials < _FEWEST_TRIALS:
        few = f"{settings.trials} trials are too few for the elastic one"
        return "adaptive", f"engine adaptive: {few}, which needs {_FEWEST_TRIALS}"
    cost = elastic_cost(settings, original, epoch_seconds(original))
    takes = f"training one elastic network for {cost.shapes:,} shapes takes about "
    takes += f"{formatting.duration(cost.seconds)}, {100 * cost.share:.0f} % of the budget"
    leaves = f"which leaves time for about {cost.candidates} candidates"
    if cost.pays:
        return "elastic", f"engine elastic: {takes}, {leaves}"
    if cost.shapes < _FEWEST_SHAPES:
        return "adaptive", f"engine adaptive: {cost.shapes} shapes are too few for an elastic one"
    return "adaptive", f"engine adaptive: {takes}, {leaves}: that does not pay"


def elastic_cost(settings: Asked, original: Original, epoch_s: float) -> ElasticCost:
    """The cost of an elastic search where an epoch of plain training takes `epoch_s` seconds."""
    length, lattice = original.task.fine_tune.epochs, lattice_of(original)
    seconds = ELASTIC_LENGTH * length * NETWORKS_PER_STEP * epoch_s
    budget_s = 60 * settings.minutes * settings.processes
    each_s = RUNGS[0] * length * _TUNING_FACTOR * epoch_s + _BUILD_S
    by_time = max(0.0, budget_s - seconds) / each_s
    return ElasticCost(
        seconds=seconds,
        share=seconds / (60 * settings.minutes),  # one process trains it, the others wait for it
        candidates=int(min(by_time, settings.trials)),
        shapes=lattice.size,
    )


def nothing_measured(settings: Asked, original: Original, ready_s: float) -> str:
    """Why a time budget measured no network, and which would do: for a first few candidates.

    `ready_s` is the time until the search could begin, with the original network's training.
    """
    tuned_s = RUNGS[0] * original.task.fine_tune.epochs * epoch_seconds(original)
    each_s = _TUNING_FACTOR * tuned_s + _BUILD_S
    needed_s = ready_s + _FEWEST_CANDIDATES * each_s / settings.processes
    minutes = max(ceil(needed_s / 60), int(settings.minutes) + 1)
    return (
        f"0 networks measured in {formatting.duration(60 * settings.minutes)}: training the "
        f"original network and getting ready took {formatting.duration(ready_s)}, a candidate "
        f"takes about {formatting.duration(each_s)}; --minutes {minutes} leaves time for about "
        f"{_FEWEST_CANDIDATES}"
    )


def epoch_seconds(original: Original) -> float:
    """The time of one epoch of fine-tuning the original network here, from a few steps."""
    recipe, train = original.task.fine_tune, original.train
    drawn = min(recipe.samples_per_epoch or len(train), len(train))
    steps = ceil(drawn / recipe.batch)
    few = Schedule(recipe, min(1.0, _TIMED_STEPS / steps), 0)
    module = copied(original.module)
    timed = []
    for _ in range(2):  # the first time memory is allocated
        started = time.monotonic()
        fit(module, train, few, loss=loss_of(original.rules))
        timed.append(time.monotonic() - started)
    return min(timed) / ceil(few.epochs * steps) * steps
