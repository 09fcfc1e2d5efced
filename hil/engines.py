"""The search engines by name."""

from __future__ import annotations

from collections.abc import Callable

from compress.errors import UserError
from compress.network import Original, space_of
from hil.engine import Engine
from hil.goal import Goal
from hil.search import Nsga2

Opener = Callable[[Original, Goal, int], Engine]

ENGINES: dict[str, Opener] = {
    "nsga2": lambda original, goal, seed: Nsga2(space_of(original), goal, seed),
}


def open_engine(name: str, original: Original, goal: Goal, seed: int) -> Engine:
    """The engine `name` for the network's search space. Raises UserError for an unknown name."""
    if name not in ENGINES:
        raise UserError(f"engine {name!r}: allowed are {', '.join(ENGINES)}")
    return ENGINES[name](original, goal, seed)
