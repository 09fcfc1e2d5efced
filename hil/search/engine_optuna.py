"""Optuna's samplers (TPE, NSGA-II) as search engines: see docs/decisions/0018."""

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
from hil.search.optuna_model import OptunaModel, nsga2, tpe
from hil.types import Trial

# Suggestions in a row that may repeat a known genome, before a random genome is drawn instead.
_ATTEMPTS = 8
_STARTUP = 20
_POPULATION = 12


class OptunaSearch:
    """A search driven by an Optuna sampler.

    The first `startup` genomes are the baseline and random ones, drawn as in the other engines
    (`compress.space.space`): so Optuna starts from the same prior, not from a uniform one over its
    parameters. Then the sampler suggests.
    """

    def __init__(
        self,
        space: Space,
        goal: Goal,
        seed: int,
        sampler: BaseSampler,
        batch: int = 4,
        startup: int = _STARTUP,
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
        """The next batch: genomes that were never asked for before, trained in full."""
        genomes = []
        for _ in range(self.batch):
            trial, genome = self._next()
            self.waiting[genome.key] = trial
            genomes.append(genome)
        return [Proposal(genome) for genome in genomes]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Tell Optuna the results; a proposal cut off is told as failed, which samplers ignore."""
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
        """Answer a repeated suggestion with the known result of `genome`.

        A genome without a result, because it is in this batch or was cut off, is told as failed.
        """
        if genome.key in self.told:
            self._learn(trial, self.told[genome.key])
        else:
            self.model.forget(trial)

    def _learn(self, asked: optuna.Trial, trial: Trial) -> None:
        self.model.tell(asked, objectives(trial), self.goal.violation(trial))


def tpe_search(space: Space, goal: Goal, seed: int) -> OptunaSearch:
    """The engine "tpe": Optuna's multi-objective TPE."""
    return OptunaSearch(space, goal, seed, tpe(seed, _STARTUP))


def nsga2_search(space: Space, goal: Goal, seed: int) -> OptunaSearch:
    """The engine "optuna-nsga2": Optuna's NSGA-II, one generation a batch."""
    sampler = nsga2(seed, _POPULATION)
    return OptunaSearch(space, goal, seed, sampler, batch=_POPULATION, startup=_POPULATION)


def objectives(trial: Trial) -> tuple[float, ...] | None:
    """Error (1 - accuracy), flash and RAM in bytes, count; None if the trial was not measured."""
    if trial.measurement is None or trial.accuracy is None:
        return None
    loss, *rest = costs(trial)
    return 1.0 + loss, *rest
