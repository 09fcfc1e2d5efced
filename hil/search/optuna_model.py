"""An in-memory Optuna study over genomes: it learns from trials and suggests new genomes."""

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
# Optuna ranks trials that violate the constraint by their violation alone; their objective values
# only have to be finite.
_NO_VALUES = (1.0,) + (2.0**40,) * (OBJECTIVES - 1)


class OptunaModel:
    """An Optuna study that minimizes `OBJECTIVES` values under one constraint: violation <= 0."""

    def __init__(self, space: Space, sampler: BaseSampler) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space = space
        self.study = optuna.create_study(directions=["minimize"] * OBJECTIVES, sampler=sampler)

    def suggest(self) -> tuple[optuna.Trial, Genome]:
        """A pending trial and the genome that the sampler suggests for it."""
        trial = self.study.ask()
        return trial, suggest(trial, self.space)

    def place(self, genome: Genome) -> optuna.Trial:
        """A pending trial for a genome of the caller's choice.

        Raises ValueError for a genome that the parameters cannot express.
        """
        self.study.enqueue_trial(parameters(genome, self.space))
        return self.suggest()[0]

    def tell(self, trial: optuna.Trial, values: Sequence[float] | None, violation: float) -> None:
        """Report the result of a pending trial; `values` is None if it was not measured."""
        trial.set_constraint(_CONSTRAINT, violation)
        self.study.tell(trial, _NO_VALUES if values is None else values)

    def learn(self, genome: Genome, values: Sequence[float] | None, violation: float) -> None:
        """Add the result of a genome that has no pending trial here.

        Raises ValueError for a genome that the parameters cannot express.
        """
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
        """Report a pending trial as failed: samplers ignore it."""
        self.study.tell(trial, state=TrialState.FAIL)


def tpe(seed: int, startup: int = 1) -> TPESampler:
    """Multi-objective TPE (Ozaki et al., JAIR 73, 2022) with constraints (c-TPE, IJCAI 2023).

    Parameters of one branch of the tree are modeled jointly, as in BOHB, so that the model learns
    their interactions. Pending trials count as bad (constant liar), so that the genomes of a batch
    differ. The caller chooses the first `startup` genomes. Each suggestion is the best of ten
    candidates; Optuna's default of 24 takes twice the time.
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
    """Optuna's NSGA-II, which crosses and mutates the parameters of `hil.search.genome_codec`."""
    return NSGAIISampler(population_size=population, seed=seed % 2**32)
