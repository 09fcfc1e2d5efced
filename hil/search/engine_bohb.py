"""BOHB (Falkner et al., ICML 2018, arXiv:1807.01774): Hyperband whose candidates TPE suggests.

Fidelity is the share of the training; below 1 a candidate is screened, not measured. BOHB is made
for one loss. Here candidates are ranked within a rung by constraint domination and then NSGA-II's
order (non-dominated rank, then crowding distance; Deb et al. 2002), as multi-objective successive
halving does (Schmucker et al., arXiv:2106.12639), and the model is multi-objective TPE.
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

# How many candidates are random, that no wrong model can keep the search from them (BOHB's rho).
_RANDOM_SHARE = 1 / 3
_ATTEMPTS = 8
ETA = 3


@dataclass(frozen=True, slots=True)
class Rung:
    """`count` candidates are tried at `fidelity` (a share of 1)."""

    count: int
    fidelity: float


def brackets(halvings: int = 2) -> tuple[tuple[Rung, ...], ...]:
    """The brackets of one iteration of Hyperband (Li et al., JMLR 18, 2018, algorithm 1).

    The first halves `halvings` times, the last not at all. Bracket s begins with
    n = ceil((s_max + 1) / (s + 1) * eta^s) candidates at fidelity eta^-s; floor(n / eta^i) of them
    reach its rung i. All brackets take about as much training.
    """
    return tuple(_bracket(halvings, s) for s in range(halvings, -1, -1))


def _bracket(halvings: int, s: int) -> tuple[Rung, ...]:
    first = -(-(halvings + 1) * ETA**s // (s + 1))
    return tuple(Rung(first // ETA**i, 1.0 / ETA ** (s - i)) for i in range(s + 1))


class Screened:
    """A trial that was judged, with its fitness by what is known without a board, for DEAP."""

    def __init__(self, trial: Trial, goal: Goal) -> None:
        values = estimated_objectives(trial)
        if values is None:
            raise ValueError(f"trial {trial.number} was not judged")
        error, *used = values
        self.genome = trial.genome
        self.fitness = ConstrainedFitness((1.0 - error, *used), estimated_violation(trial, goal))


class Bohb:
    """Brackets in turn, a rung a batch; the baseline is tried first of all, in full.

    There is a model for each fidelity; the one of the highest that has seen `fewest` candidates
    suggests, and until there is one they are random.
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
        while not genomes:  # all that a rung could promote may have been infeasible or cut off
            index, self.rung = next(self.rungs)
            genomes = self._promoted() if index else self._candidates()
        return first + [Proposal(genome, self.rung.fidelity) for genome in genomes]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Learn from all, and keep this rung's to promote from."""
        for trial in trials:
            self.models[trial.fidelity].learn(trial.genome, *judged(trial, self.goal))
            self.learned[trial.fidelity] += 1
        self.told = [t for t in trials if t.genome != baseline()]

    def _candidates(self) -> list[Genome]:
        """New genomes; those suggested are waiting together, so that they spread."""
        model = next((m for f, m in self.models.items() if self.learned[f] >= self.fewest), None)
        if model is None:
            return [self.breeder.random(self.rng) for _ in range(self.rung.count)]
        suggested: list[optuna.Trial] = []
        genomes = [self._candidate(model, suggested) for _ in range(self.rung.count)]
        # Their results are told to the model of the fidelity that they are tried at.
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
        """The best of the rung before; what was not judged there is out."""
        judged_there = [t for t in self.told if estimated_objectives(t) is not None]
        screened = [Screened(trial, self.goal) for trial in judged_there]
        best = tools.selNSGA2(screened, min(self.rung.count, len(screened)))
        return [one.genome for one in best]


def judged(trial: Trial, goal: Goal) -> tuple[tuple[float, ...] | None, float]:
    """Objectives (None: there are none) and violation: measured at fidelity 1, estimated below."""
    if trial.fidelity == 1.0:
        return objectives(trial), goal.violation(trial)
    return estimated_objectives(trial), estimated_violation(trial, goal)


def estimated_objectives(trial: Trial) -> tuple[float, ...] | None:
    """Error (1 - accuracy), bytes of weights, bytes of arena, MACs; None if it was not judged."""
    if trial.accuracy is None or trial.estimate is None:
        return None
    estimate = trial.estimate
    return 1.0 - trial.accuracy, estimate.weight_bytes, estimate.arena_bytes, estimate.macs


def estimated_violation(trial: Trial, goal: Goal) -> float:
    """As `Goal.violation` by what is known without a board; above 1 for what was not judged.

    Weights and arena are less than flash and RAM will be, and little training reaches little
    accuracy: comparable among trials of one fidelity only. Limits on time and energy wait until
    there is something to count.
    """
    if trial.accuracy is None or trial.estimate is None:
        return 1.0 + trial.violation
    short = max(0.0, (goal.accuracy - trial.accuracy) / goal.accuracy)
    flash = max(0.0, trial.estimate.weight_bytes / goal.flash_bytes - 1.0)
    ram = max(0.0, trial.estimate.arena_bytes / goal.ram_bytes - 1.0)
    excess = short + flash + ram
    return excess / (1.0 + excess)
