"""BOHB (Falkner et al., ICML 2018, arXiv:1807.01774): Hyperband with candidates from TPE.

Fidelity is the share of the training; below 1 a candidate is screened, not measured. BOHB is
defined for a single loss. Here the candidates of a rung are ranked by constraint domination, then
by NSGA-II's order (non-dominated sorting, crowding distance; Deb et al. 2002), as in
multi-objective successive halving (Schmucker et al., arXiv:2106.12639); the model is
multi-objective TPE.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from random import Random

import optuna
from deap import tools

from compress.genome import Genome
from compress.space.recipes import baseline
from compress.space.space import Space
from hil.objective.goal import Goal
from hil.search.breeder import Breeder
from hil.search.engine import Proposal
from hil.search.engine_optuna import objectives
from hil.search.nsga2 import ConstrainedFitness
from hil.search.optuna_model import OptunaModel, tpe
from hil.types import Trial

# BOHB's rho: the share of random candidates, which keeps exploring where the model is wrong.
_RANDOM_SHARE = 1 / 3
# Suggestions in a row that may repeat a known genome, before a random genome is drawn instead.
_ATTEMPTS = 8
# The factor of successive halving: one in ETA candidates is promoted, with ETA times the training.
ETA = 3


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of successive halving: `count` candidates at `fidelity` (a share of 1)."""

    count: int
    fidelity: float


def brackets(halvings: int = 2) -> tuple[tuple[Rung, ...], ...]:
    """The brackets of one iteration of Hyperband (Li et al., JMLR 18, 2018, algorithm 1).

    s runs from `halvings` (s_max) down to 0. Bracket s begins with
    n = ceil((s_max + 1) / (s + 1) * eta^s) candidates at fidelity eta^-s; floor(n / eta^i) of them
    reach rung i, at fidelity eta^(i - s). All brackets cost about the same amount of training.
    """
    return tuple(_bracket(halvings, s) for s in range(halvings, -1, -1))


def _bracket(halvings: int, s: int) -> tuple[Rung, ...]:
    first = -(-(halvings + 1) * ETA**s // (s + 1))
    return tuple(Rung(first // ETA**i, 1.0 / ETA ** (s - i)) for i in range(s + 1))


class Screened:
    """A screened trial with the `fitness` that DEAP's operators read, from the host's estimates.

    Raises ValueError for a trial without accuracy or estimate.
    """

    def __init__(self, trial: Trial, goal: Goal) -> None:
        values = estimated_objectives(trial)
        if values is None:
            raise ValueError(f"trial {trial.number} has no accuracy or estimate")
        error, *used = values
        self.genome = trial.genome
        self.fitness = ConstrainedFitness((1.0 - error, *used), estimated_violation(trial, goal))


class Bohb:
    """The BOHB engine: the baseline in full, then bracket after bracket, one rung a batch.

    It has a model for each fidelity. The model of the highest fidelity with at least `fewest`
    results makes the suggestions; until there is one, candidates are random.
    """

    def __init__(self, space: Space, goal: Goal, seed: int, fewest: int = 12) -> None:
        self.breeder = Breeder(space)
        self.goal = goal
        self.rng = Random(seed)
        self.fewest = fewest
        self.rungs: Iterator[tuple[int, Rung]] = cycle(
            [(i, rung) for bracket in brackets() for i, rung in enumerate(bracket)]
        )
        fidelities = sorted({rung.fidelity for bracket in brackets() for rung in bracket})
        self.models = {f: OptunaModel(space, tpe(seed)) for f in reversed(fidelities)}
        self.learned = dict.fromkeys(self.models, 0)
        self.rung = Rung(0, 0.0)
        self.told: list[Trial] = []

    def ask(self) -> list[Proposal]:
        """The next rung: new candidates, or the best of the rung before with more training."""
        first = [Proposal(baseline())] if self.breeder.is_new(baseline()) else []
        genomes: list[Genome] = []
        while not genomes:  # the candidates of a rung may all be infeasible or cut off
            index, self.rung = next(self.rungs)
            genomes = self._promoted() if index else self._candidates()
        return first + [Proposal(genome, self.rung.fidelity) for genome in genomes]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Update the model of each trial's fidelity, and keep the trials for promotion."""
        for trial in trials:
            values, violation = _result(trial, self.goal)
            self.models[trial.fidelity].learn(trial.genome, values, violation)
            self.learned[trial.fidelity] += 1
        self.told = [t for t in trials if t.genome != baseline()]

    def _candidates(self) -> list[Genome]:
        """New genomes for the first rung of a bracket.

        All suggestions stay pending until the batch is complete, so that they differ (constant
        liar, see `tpe`).
        """
        model = next((m for f, m in self.models.items() if self.learned[f] >= self.fewest), None)
        if model is None:
            return [self.breeder.random(self.rng) for _ in range(self.rung.count)]
        suggested: list[optuna.Trial] = []
        genomes = [self._candidate(model, suggested) for _ in range(self.rung.count)]
        # Results are added by `tell`, to the model of the fidelity at which the genomes are tried.
        for trial in suggested:
            model.forget(trial)
        return genomes

    def _candidate(self, model: OptunaModel, suggested: list[optuna.Trial]) -> Genome:
        attempts = _ATTEMPTS if self.rng.random() >= _RANDOM_SHARE else 0
        for _ in range(attempts):
            trial, genome = model.suggest()
            suggested.append(trial)
            if self.breeder.is_new(genome):
                return genome
        return self.breeder.random(self.rng)

    def _promoted(self) -> list[Genome]:
        """The best genomes of the rung before, without those that were infeasible."""
        feasible = [t for t in self.told if estimated_objectives(t) is not None]
        screened = [Screened(trial, self.goal) for trial in feasible]
        best = tools.selNSGA2(screened, min(self.rung.count, len(screened)))
        return [one.genome for one in best]


def _result(trial: Trial, goal: Goal) -> tuple[tuple[float, ...] | None, float]:
    """Objectives (None if unknown) and violation: measured at fidelity 1, estimated below."""
    if trial.fidelity == 1.0:
        return objectives(trial), goal.violation(trial)
    return estimated_objectives(trial), estimated_violation(trial, goal)


def estimated_objectives(trial: Trial) -> tuple[float, ...] | None:
    """Error (1 - accuracy), bytes of weights and arena, MACs; None if accuracy or estimate is."""
    if trial.accuracy is None or trial.estimate is None:
        return None
    estimate = trial.estimate
    return 1.0 - trial.accuracy, estimate.weight_bytes, estimate.arena_bytes, estimate.macs


def estimated_violation(trial: Trial, goal: Goal) -> float:
    """`Goal.violation` from the host's estimates: 0 .. 1, above 1 for an infeasible trial.

    Weights and arena are lower bounds of flash and RAM, and accuracy rises with the training:
    values compare among trials of one fidelity only. Limits on time and energy are not included.
    """
    if trial.accuracy is None or trial.estimate is None:
        return 1.0 + trial.violation
    short = goal.shortfall(trial.accuracy)
    flash = max(0.0, trial.estimate.weight_bytes / goal.flash_bytes - 1.0)
    ram = max(0.0, trial.estimate.arena_bytes / goal.ram_bytes - 1.0)
    excess = short + flash + ram
    return excess / (1.0 + excess)
