"""An Optuna study in memory that learns which genomes of a space are good, and suggests others."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler
from optuna.trial import FixedTrial, TrialState, create_trial

from compress.genome import Genome
from compress.space.space import Space
from hil.search.genome_codec import parameters, suggest

OBJECTIVES = 4
_CONSTRAINT = "violation"
# What fails a constraint is ranked by its violation alone: the values need only be finite.
_NO_VALUES = (1.0,) + (2.0**40,) * (OBJECTIVES - 1)


class OptunaModel:
    """Minimizes `OBJECTIVES` values under one constraint (violation, satisfied at 0)."""

    def __init__(self, space: Space, sampler: BaseSampler) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space = space
        self.study = optuna.create_study(directions=["minimize"] * OBJECTIVES, sampler=sampler)

    def suggest(self) -> tuple[optuna.Trial, Genome]:
        """What the sampler expects to be good, given what it was told and is waiting for."""
        trial = self.study.ask()
        return trial, suggest(trial, self.space)

    def place(self, genome: Genome) -> optuna.Trial:
        """A trial for a genome that was not suggested. Raises ValueError if it cannot be one."""
        self.study.enqueue_trial(parameters(genome, self.space))
        return self.suggest()[0]

    def tell(self, trial: optuna.Trial, values: Sequence[float] | None, violation: float) -> None:
        """What came of `trial`. Without `values` it is known by its violation only."""
        trial.set_constraint(_CONSTRAINT, violation)
        self.study.tell(trial, _NO_VALUES if values is None else values)

    def learn(self, genome: Genome, values: Sequence[float] | None, violation: float) -> None:
        """What came of a genome that was not asked for here. Raises ValueError as `place` does."""
        fixed = FixedTrial(dict(parameters(genome, self.space)))
        suggest(fixed, self.space)
        trial = create_trial(
            values=_NO_VALUES if values is None else values,
            params=fixed.params,
            distributions=fixed.distributions,
            constraints={_CONSTRAINT: violation},
        )
        self.study.add_trial(trial)

    def forget(self, trial: optuna.Trial) -> None:
        """Nothing came of `trial`."""
        self.study.tell(trial, state=TrialState.FAIL)


def tpe(seed: int, startup: int = 1) -> TPESampler:
    """Multi-objective TPE (Ozaki et al., JAIR 73, 2022) with constraints (c-TPE, IJCAI 2023).

    Parameters of one branch of the tree are modelled jointly, as in BOHB: it learns how they
    interact, and one split of the trials serves them all. What is waiting counts as bad (Optuna's
    constant liar), so that a batch spreads. The first `startup` genomes are the caller's. Of ten
    candidates for each suggestion, not Optuna's 24, the best is taken: that halves the time.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return TPESampler(
            n_startup_trials=startup,
            n_ei_candidates=10,
            multivariate=True,
            group=True,
            constant_liar=True,
            seed=seed % 2**32,
        )


def nsga2(seed: int, population: int) -> NSGAIISampler:
    """Optuna's NSGA-II, with its uniform crossover and mutation of the codec's parameters."""
    return NSGAIISampler(population_size=population, seed=seed % 2**32)
