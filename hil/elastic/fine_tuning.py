"""Successive halving of fine-tuning: which sub-networks to train on, with which tail, how long.

As asynchronous successive halving does (arXiv:1810.05934), every batch has a share for each rung:
new candidates train for the first, and half as many go on to the next. Among those of a rung the
choice is by expected improvement (`hil.search.acquisition`). The accuracy of a new candidate is
predicted as what its shape inherits and what training adds: a surrogate is fitted to trained minus
inherited accuracies. A shape is trained with at most two tails while others wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import log1p
from random import Random

import numpy as np

from compress.genome import Distill, Genome, Quantize, Sparsify
from hil.elastic.lattice import Shape
from hil.elastic.shape_search import ShapeCosts
from hil.elastic.tails import RUNGS, lengthened, mean_bits
from hil.objective.goal import Goal
from hil.search.acquisition import (
    HypervolumeMerit,
    Merit,
    WeightedMeanMerit,
    choose_candidates,
)
from hil.search.surrogate import Surrogate
from hil.types import Estimate, Floats

MOST_TAILS = 2  # of a shape, while other shapes wait
_FEWEST_TO_FIT = 8
_FIRST_SPREAD = 0.015  # of a prediction before a surrogate is fitted, share of 1
_FIRST_GAIN = 0.5  # of the errors, which training is taken to remove before one is fitted
_NO_FLOOR = -1e9  # gains are not clipped (`Surrogate`)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A shape of the elastic network `network` (its number), a tail, and how long it trains."""

    network: int
    shape: Shape
    tail: Genome
    rung: int

    @property
    def start(self) -> tuple[int, Shape, Genome]:
        """The candidate at any rung."""
        return self.network, self.shape, self.tail

    @property
    def stages(self) -> Genome:
        """The tail as it trains."""
        return lengthened(self.tail, self.rung)


@dataclass(frozen=True, slots=True)
class Inherited:
    """What is known of a shape before it is trained: accuracy, costs, and its estimate (int8)."""

    accuracy: float
    costs: ShapeCosts
    estimate: Estimate


@dataclass(frozen=True, slots=True, eq=False)
class FineTuning:
    """The choice of the next candidates, from what is known now.

    `shapes` are those that may be trained, by number of the elastic network and shape; `trained`
    the accuracies of candidates, `started` those that were asked for. `others` are the measured
    networks beside the trained candidates, `reference` the costs (flash, RAM, count) of the int8
    baseline, to which ratios are taken. `least_accuracy` is the floor with its safety margin.
    `factors` are those of `cost_factors`.
    """

    goal: Goal
    shapes: Mapping[tuple[int, Shape], Inherited]
    trained: Mapping[Candidate, float]
    started: frozenset[Candidate]
    others: Sequence[tuple[float, Floats]]
    reference: Floats
    reference_accuracy: float
    least_accuracy: float
    factors: Mapping[tuple[float, bool], Floats]

    def choose(
        self, rng: Random, tails: Sequence[Genome], counts: Sequence[int]
    ) -> list[Candidate]:
        """For each rung, from the last, so many candidates; what lacks is left to the first."""
        chosen: list[Candidate] = []
        merit, predict = self._merit(), self._predictor()
        lacking = 0
        for rung in range(len(RUNGS) - 1, -1, -1):
            wanted = counts[rung] + (lacking if rung == 0 else 0)
            offered = self._going_on(rung) if rung else self._new(rng, tails)
            found = self._best(offered, predict, merit, wanted)
            lacking += wanted - len(found)
            for one, accuracy in found:
                merit = merit.with_point(self._point(one, accuracy))
                chosen.append(one)
        return chosen

    def costs(self, candidate: Candidate) -> Floats:
        """Predicted flash, RAM and count of a candidate, float64 (3,)."""
        known = self.shapes[candidate.network, candidate.shape]
        return tail_costs(known, candidate.tail, self.factors)

    def _best(
        self,
        offered: Sequence[Candidate],
        predict: _Predictor,
        merit: Merit,
        count: int,
    ) -> list[tuple[Candidate, float]]:
        """The `count` candidates with the largest expected improvement, with their accuracies."""
        if not offered or count < 1:
            return []
        offered = [one for one in offered if self._fits(one)] or offered
        accuracies, spreads = predict(offered)
        costs = np.array([self.costs(one) for one in offered]) / self.reference
        order = choose_candidates(merit, accuracies, spreads, costs, min(len(offered), 3 * count))
        chosen: list[tuple[Candidate, float]] = []
        for index in order:  # one tail of a shape in a batch
            if all(one.shape != offered[index].shape for one, _ in chosen):
                chosen.append((offered[index], float(accuracies[index])))
        return chosen[:count]

    def _fits(self, candidate: Candidate) -> bool:
        """True if its predicted flash and RAM keep the limits."""
        flash, ram, _ = self.costs(candidate)
        return bool(flash <= self.goal.flash_bytes and ram <= self.goal.ram_bytes)

    def _new(self, rng: Random, tails: Sequence[Genome]) -> list[Candidate]:
        """Each shape with one of the tails that it was not trained with."""
        begun: dict[Shape, set[Genome]] = {}
        for one in self.started:
            begun.setdefault(one.shape, set()).add(one.tail)
        waiting = [key for key in self.shapes if len(begun.get(key[1], ())) < MOST_TAILS]
        offered = []
        for network, shape in waiting or self.shapes:
            left = [tail for tail in tails if tail not in begun.get(shape, ())]
            if left:
                offered.append(Candidate(network, shape, rng.choice(left), 0))
        return offered

    def _going_on(self, rung: int) -> list[Candidate]:
        """Candidates trained until the rung before and not asked for at this one."""
        before = (one for one in self.trained if one.rung == rung - 1)
        longer = [Candidate(*one.start, rung) for one in before]
        return [one for one in longer if one not in self.started]

    def _predictor(self) -> _Predictor:
        surrogate = None
        if len(self.trained) >= _FEWEST_TO_FIT:
            rows = [self.features(one) for one in self.trained]
            gains = [accuracy - self.inherited(one) for one, accuracy in self.trained.items()]
            surrogate = Surrogate(rows, gains, _NO_FLOOR)
        return _Predictor(self, surrogate)

    def inherited(self, candidate: Candidate) -> float:
        """The accuracy of a candidate before it is trained."""
        return self.shapes[candidate.network, candidate.shape].accuracy

    def features(self, candidate: Candidate) -> tuple[float, ...]:
        """The input of the surrogate; a gain never falls with the first three (its trend)."""
        known = self.shapes[candidate.network, candidate.shape]
        stages = candidate.stages.stages
        taught = [stage for stage in stages if isinstance(stage, Distill)]
        scheme = [stage for stage in stages if isinstance(stage, Quantize)][-1]
        places = [type(stage) for stage in stages]
        return (
            1.0 - known.accuracy,
            log1p(sum(stage.epochs * stage.rate for stage in stages)),
            mean_bits(candidate.tail),
            log1p(known.estimate.macs),
            log1p(known.estimate.weight_bytes),
            float(candidate.rung),
            float(candidate.network),
            float(places.index(Quantize) < places.index(Distill)),
            float(min(scheme.weight_bits)),
            float(scheme.learn_ranges),
            float(scheme.weight_range == "mse"),
            float(scheme.activation_bits != (8,)),
            log1p(scheme.epochs),
            max((stage.share for stage in stages if isinstance(stage, Sparsify)), default=0.0),
            taught[0].rate,
            taught[0].weight,
            float(taught[0].teacher == "original"),
            float(taught[0].features != "none"),
        )

    def _merit(self) -> Merit:
        points = [np.array((1.0 - a, *(costs / self.reference))) for a, costs in self.others]
        points += [self._point(one, accuracy) for one, accuracy in self.trained.items()]
        front = np.array([p for p in points if 1.0 - p[0] >= self.least_accuracy]).reshape(-1, 4)
        most_error = 1.0 - self.least_accuracy + 1e-6
        if self.goal.weights is None:
            return HypervolumeMerit(front, most_error)
        error = 1.0 - self.reference_accuracy
        mean = WeightedMeanMerit(self.goal.weights, error, most_error)
        return reduce(WeightedMeanMerit.with_point, front, mean)

    def _point(self, candidate: Candidate, accuracy: float) -> Floats:
        return np.array((1.0 - accuracy, *(self.costs(candidate) / self.reference)))


@dataclass(frozen=True, slots=True, eq=False)
class _Predictor:
    """Accuracies and spreads of candidates: float64 (candidates,) each.

    One that goes on has its accuracy so far, and what the surrogate adds for the longer training.
    """

    chooser: FineTuning
    surrogate: Surrogate | None

    def __call__(self, candidates: Sequence[Candidate]) -> tuple[Floats, Floats]:
        chooser = self.chooser
        inherited = np.array([chooser.inherited(one) for one in candidates])
        gains = _FIRST_GAIN * (1.0 - inherited)
        spreads: Floats = np.full(len(candidates), _FIRST_SPREAD)
        if self.surrogate is not None:
            gains, spreads = self.surrogate.predict([chooser.features(one) for one in candidates])
        accuracies = inherited + gains
        shorter = [Candidate(*one.start, one.rung - 1) for one in candidates]
        known = [index for index, one in enumerate(shorter) if one in chooser.trained]
        if known:
            now = np.array([chooser.trained[shorter[index]] for index in known])
            more = np.zeros(len(known))
            if self.surrogate is not None:
                rows = [chooser.features(shorter[index]) for index in known]
                more = np.maximum(gains[known] - self.surrogate.predict(rows)[0], 0.0)
            accuracies[known] = now + more
            spreads[known] /= 2
        found: Floats = np.minimum(accuracies, 1.0)
        return found, spreads


def tail_costs(
    known: Inherited, tail: Genome, factors: Mapping[tuple[float, bool], Floats]
) -> Floats:
    """Flash, RAM and count of a shape with a tail: int8 costs, fewer bits, and their factors."""
    saved = known.estimate.weight_bytes * (1.0 - mean_bits(tail) / 8)
    plain = np.array(
        (known.costs.flash_bytes - saved, known.costs.ram_bytes, known.costs.count), np.float64
    )
    scaled: Floats = plain * factors.get(_kind(tail), np.ones(3))
    return scaled


def cost_factors(
    measured: Iterable[tuple[Inherited, Genome, Floats]],
) -> dict[tuple[float, bool], Floats]:
    """The mean ratios of measured to predicted flash, RAM and count, by kind of tail.

    Kinds are the mean width of weights and whether weights are sparse: what a tail costs beside the
    shape (expansion of packed weights, say) is learned from what was built with it.
    """
    ratios: dict[tuple[float, bool], list[Floats]] = {}
    for known, tail, costs in measured:
        ratios.setdefault(_kind(tail), []).append(costs / tail_costs(known, tail, {}))
    return {kind: np.mean(found, axis=0) for kind, found in ratios.items()}


def _kind(tail: Genome) -> tuple[float, bool]:
    sparse = any(isinstance(stage, Sparsify) for stage in tail.stages)
    return round(mean_bits(tail)), sparse
