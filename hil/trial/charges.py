"""What trials cost one search that has a prefix cache of its own: epochs of training, and seconds.

Stages that two candidates begin with are trained once: a search pays each of them once, an elastic
network too, whoever trained it. The unit is an epoch of the task's fine-tuning:

- an epoch of a stage counts 1, whatever it trains under and however narrow the network is;
- an epoch of `Elastic` counts `NETWORKS_PER_STEP`, the work of its four sub-networks;
- a look without training (fidelity 0) counts the samples that it evaluates, of which one costs a
  third of what training on it does (no backward pass: twice the forward pass is saved), and of a
  picked sub-network the square of its mean share of the channels, since a layer's work grows with
  what it reads times what it writes. On kws that is 0.03 epochs at 0.6 of the channels, which is
  about what was measured (0.25 s, where an epoch takes 7 s; docs/decisions/0045).

Evaluating, building and measuring a network that was trained in full counts as a measurement, not
in epochs. Seconds count all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Self

from compress.genome import Elastic, Pick, Stage
from compress.pipeline.samples import SCREENING_SAMPLES
from compress.splits import halves
from hil.search.engine import NETWORKS_PER_STEP, Proposal
from hil.trial.inherited import INHERITED_SAMPLES
from hil.types import Trial

if TYPE_CHECKING:
    from compress.pipeline.network import Original

_FORWARD = 1 / 3  # of the work of training on a sample


@dataclass(frozen=True, slots=True)
class LookPrices:
    """The price of a look in epochs: at a whole picked network (`inherited`), at any other."""

    inherited: float = 0.0
    other: float = 0.0

    @classmethod
    def of(cls, original: Original) -> Self:
        """The prices by the samples of the original's task."""
        recipe, train = original.task.fine_tune, len(original.train)
        drawn = min(recipe.samples_per_epoch or train, train)
        screening, _ = halves(original.judged)
        inherited = min(INHERITED_SAMPLES, len(screening)) + len(original.statistics)
        other = min(SCREENING_SAMPLES, len(original.data.val)) + len(original.calibration)
        return cls(_FORWARD * inherited / drawn, _FORWARD * other / drawn)


@dataclass(frozen=True, slots=True)
class Charge:
    """What a trial costs a search: epochs as this module counts them, seconds of a process."""

    epochs: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Payment:
    """Epochs paid for a proposal, and the places of its stages that had not been paid before."""

    epochs: float
    new: frozenset[int]

    def charge(self, trial: Trial) -> Charge:
        """The charge of the proposal's trial.

        Its seconds are those of this search alone: with the training of stages that were in the
        cache because another search had trained them, without what the cache had lost.
        """
        seconds = sum(trial.seconds.values())
        for place, cost in enumerate(trial.costs):
            if cost.cached and place in self.new:
                seconds += cost.seconds
            elif not cost.cached and cost.epochs > 0 and place not in self.new:
                seconds -= cost.seconds
        return Charge(self.epochs, max(seconds, 0.0))


class Account:
    """What one search has paid: each stage after the same stages once, repeats each time."""

    def __init__(self, looks: LookPrices) -> None:
        self.looks = looks
        self._paid: set[tuple[Stage, ...]] = set()

    def pay(self, proposal: Proposal, at_most: float) -> Payment | None:
        """Pay for a proposal; None, with nothing paid, if it costs more than `at_most` epochs."""
        stages = proposal.genome.with_effort(proposal.fidelity).stages
        picks = [place + 1 for place, stage in enumerate(stages) if isinstance(stage, Pick)]
        shared = max(picks, default=0) if proposal.repeat else len(stages)
        new = frozenset(
            place
            for place in range(len(stages))
            if place >= shared or stages[: place + 1] not in self._paid
        )
        epochs = sum(_work(stages[place]) for place in sorted(new))
        if proposal.fidelity == 0.0:
            epochs += self._look(proposal)
        if epochs > at_most:
            return None
        self._paid.update(stages[: place + 1] for place in range(shared))
        return Payment(epochs, new)

    def _look(self, proposal: Proposal) -> float:
        if not proposal.is_inherited:
            return self.looks.other
        pick = proposal.genome.stages[-2]
        share = fmean(pick.keep) if isinstance(pick, Pick) and pick.keep else 1.0
        return self.looks.inherited * share**2


def _work(stage: Stage) -> float:
    return stage.epochs * (NETWORKS_PER_STEP if isinstance(stage, Elastic) else 1.0)
