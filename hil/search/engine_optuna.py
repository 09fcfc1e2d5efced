"""Optuna's samplers behind the interface of `hil.search.engine`: see docs/decisions/0018."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import optuna
from optuna.samplers import BaseSampler

from compress.genome import Genome
from compress.space.recipes import baseline
from compress.space.space import Space
from hil.objective.goal import Goal
from hil.objective.pareto import costs
from hil.search.breeder import Breeder
from hil.search.engine import Proposal
from hil.search.optuna_model import OptunaModel
from hil.types import Trial

# How often a suggestion that is known already is answered at once before a random genome is drawn.
_ATTEMPTS = 8
STARTUP = 20


class OptunaSearch:
    """The baseline, `startup` genomes in all that are random otherwise, then what is suggested.

    The random ones are those of the other engines (`compress.space.space`), so that Optuna starts
    from the same prior and not from a uniform one over its parameters.
    """

    def __init__(
        self,
        space: Space,
        goal: Goal,
        seed: int,
        sampler: BaseSampler,
        batch: int = 4,
        startup: int = STARTUP,
    ) -> None:
        self.breeder = Breeder(space)
        self.goal = goal
        self.rng = Random(seed)
        self.model = OptunaModel(space, sampler)
        self.batch = batch
        self.startup = self.drawn = startup
        self.waiting: dict[str, optuna.Trial] = {}
        self.told: dict[str, Trial] = {}

    def ask(self) -> list[Proposal]:
        """Genomes that were never asked for before, trained in full."""
        genomes = []
        for _ in range(self.batch):
            trial, genome = self._next()
            self.waiting[genome.key] = trial
            genomes.append(genome)
        return [Proposal(genome) for genome in genomes]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Tell Optuna; what was cut off is told as failed, which samplers do not look at."""
        for trial in trials:
            self.told[trial.genome.key] = trial
            if trial.genome.key in self.waiting:
                self._learn(self.waiting.pop(trial.genome.key), trial)
        for cut_off in self.waiting.values():
            self.model.forget(cut_off)
        self.waiting = {}

    def _next(self) -> tuple[optuna.Trial, Genome]:
        if self.breeder.is_new(baseline()):
            return self.model.place(baseline()), baseline()
        if len(self.breeder.known) >= self.startup:
            for _ in range(_ATTEMPTS):
                trial, genome = self.model.suggest()
                if self.breeder.is_new(genome):
                    return trial, genome
                self._answer(trial, genome)
        genome = self.breeder.random(self.rng)
        return self.model.place(genome), genome

    def _answer(self, trial: optuna.Trial, genome: Genome) -> None:
        """Tell again what is known of `genome`; it may be waiting itself, or was cut off."""
        if genome.key in self.told:
            self._learn(trial, self.told[genome.key])
        else:
            self.model.forget(trial)

    def _learn(self, asked: optuna.Trial, trial: Trial) -> None:
        self.model.tell(asked, objectives(trial), self.goal.violation(trial))


def objectives(trial: Trial) -> tuple[float, ...] | None:
    """Error (1 - accuracy), flash and RAM (bytes), count; None if it was not measured."""
    if trial.measurement is None or trial.accuracy is None:
        return None
    loss, *rest = costs(trial)
    return 1.0 + loss, *rest
