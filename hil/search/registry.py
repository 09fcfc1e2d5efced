"""The search engines by name."""

from __future__ import annotations

from collections.abc import Callable

from compress.errors import UserError
from compress.pipeline.network import Original, space_of
from compress.space.space import Space
from hil.objective.goal import Goal
from hil.search.engine import Engine
from hil.search.engine_random import RandomSearch
from hil.search.engine_weighted import WeightedSum
from hil.search.nsga2 import Nsga2

Opener = Callable[[Original, Goal, int], Engine]

_GENERATION = 12


def _over_space(make: Callable[[Space, Goal, int], Engine]) -> Opener:
    """For engines that need to know no more of the network than its space."""
    return lambda original, goal, seed: make(space_of(original), goal, seed)


# scikit-learn and Optuna take half a second to import: done by the engines that need them.
def _adaptive(original: Original, goal: Goal, seed: int) -> Engine:
    from hil.search.adaptive import Adaptive

    return Adaptive(original, goal, seed)


def _tpe(space: Space, goal: Goal, seed: int) -> Engine:
    from hil.search.engine_optuna import STARTUP, OptunaSearch
    from hil.search.optuna_model import tpe

    return OptunaSearch(space, goal, seed, tpe(seed, STARTUP))


def _optuna_nsga2(space: Space, goal: Goal, seed: int) -> Engine:
    from hil.search.engine_optuna import OptunaSearch
    from hil.search.optuna_model import nsga2

    sampler = nsga2(seed, _GENERATION)
    return OptunaSearch(space, goal, seed, sampler, batch=_GENERATION, startup=_GENERATION)


def _bohb(space: Space, goal: Goal, seed: int) -> Engine:
    from hil.search.engine_bohb import Bohb

    return Bohb(space, goal, seed)


ENGINES: dict[str, Opener] = {
    "adaptive": _adaptive,
    "nsga2": _over_space(lambda space, goal, seed: Nsga2(space, goal, seed, _GENERATION)),
    "weighted": _over_space(lambda space, goal, seed: WeightedSum(space, goal, seed, _GENERATION)),
    "random": _over_space(lambda space, goal, seed: RandomSearch(space, seed, _GENERATION)),
    "tpe": _over_space(_tpe),
    "optuna-nsga2": _over_space(_optuna_nsga2),
    "bohb": _over_space(_bohb),
}


def open_engine(name: str, original: Original, goal: Goal, seed: int) -> Engine:
    """The engine `name` for the network's search space. Raises UserError for an unknown name."""
    if name not in ENGINES:
        raise UserError(f"engine {name!r}: allowed are {', '.join(ENGINES)}")
    return ENGINES[name](original, goal, seed)
