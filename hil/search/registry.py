"""The search engines by name. A new engine is one module and one line of `ENGINES`.

Importing this module imports no engine: the command line needs the names only, and scikit-learn
and Optuna take half a second to import.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from compress.errors import UserError

if TYPE_CHECKING:
    from compress.pipeline.network import Original
    from hil.objective.goal import Goal
    from hil.search.engine import Engine

Opener = Callable[["Original", "Goal", int], "Engine"]


def _from_space(path: str) -> Opener:
    """An opener that calls the factory at `path`, "module:name", with (space, goal, seed)."""

    def open_it(original: Original, goal: Goal, seed: int) -> Engine:
        from compress.pipeline.network import space_of

        engine: Engine = _factory(path)(space_of(original), goal, seed)
        return engine

    return open_it


def _from_original(path: str) -> Opener:
    """An opener that calls the factory at `path`, "module:name", with (original, goal, seed)."""

    def open_it(original: Original, goal: Goal, seed: int) -> Engine:
        engine: Engine = _factory(path)(original, goal, seed)
        return engine

    return open_it


def _factory(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


# The default of the command line: one of the first two, by cost (`hil.loop.engine_choice`).
AUTO = "auto"
ENGINES: dict[str, Opener] = {
    "elastic": _from_original("hil.elastic.engine:elastic_search"),
    "elastic-bits": _from_original("hil.elastic.engine:elastic_bits_search"),
    "adaptive": _from_original("hil.search.adaptive:Adaptive"),
    "nsga2": _from_space("hil.search.nsga2:Nsga2"),
    "weighted": _from_space("hil.search.engine_weighted:WeightedSum"),
    "random": _from_space("hil.search.engine_random:RandomSearch"),
    "tpe": _from_space("hil.search.engine_optuna:tpe_search"),
    "optuna-nsga2": _from_space("hil.search.engine_optuna:nsga2_search"),
    "bohb": _from_space("hil.search.engine_bohb:Bohb"),
}
ENGINE_NAMES = tuple(ENGINES)


def open_engine(name: str, original: Original, goal: Goal, seed: int) -> Engine:
    """Make the engine `name` for the original network's search space.

    Raises UserError for an unknown name.
    """
    if name not in ENGINES:
        raise UserError(f"engine {name!r}: allowed are {', '.join(ENGINES)}")
    return ENGINES[name](original, goal, seed)
